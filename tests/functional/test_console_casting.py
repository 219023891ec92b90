"""Broadcasts and what belongs to them in real Chromium, from the first word to the last receipt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.clients.pages import violations
from tests.functional.installation import Installation, free_port, wait_until
from tests.functional.test_browser import CHROMIUM, QUIET, _ready, pytestmark  # noqa: F401
from tests.functional.test_sign_in import shot

_PEOPLE = """
from django.test import Client
from directory.models import Group, GroupMembership, User
from notifications.models import UserNotificationPreference

made = User.objects.bulk_create([
    User(username=f"pupil{n}", email=f"pupil{n}@example.com", first_name="Pupil", password="!")
    for n in range(300)
])
group = Group.objects.create(name="Class 7")
GroupMembership.objects.bulk_create(
    [GroupMembership(group=group, user_id=each.pk) for each in made]
)
silent = User.objects.get(username="pupil7")
User.objects.create(username="stranger1", email="stranger1@example.com", first_name="Stranger")
UserNotificationPreference.objects.create(user=silent, notifications_enabled=False)
User.objects.create(
    username="second", email="second@example.com", first_name="Second", staff_role="operator"
)
for name in ("admin", "second"):
    client = Client()
    client.force_login(User.objects.get(username=name))
    print(client.cookies["sessionid"].value)
"""
_ROWS = """
from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.features.broadcasts.service import BroadcastWorkflow
from notifications.features.campaigns.schemas import CampaignBody
from notifications.features.campaigns.service import CampaignService
from notifications.features.campaigns.variants.schemas import (
    CampaignABTestBody, CampaignVariantBody,
)
from notifications.features.experiments.schemas import ABTestBody, ABTestVariantBody
from notifications.features.experiments.service import ABTestService
from notifications.features.series.schemas import (
    MailSeriesBody, SeriesStepBody, SeriesTriggerBody,
)
from notifications.features.series.service import MailSeriesService
from notifications.features.lists.schemas import ListBody
from notifications.features.lists.service import ListService
from notifications.infra import clock
from notifications.models import Broadcast, NotificationTemplate

now = clock.now()
template = NotificationTemplate.objects.get(path="user.payment.success")
path, values = template.path, {"amount": "29.99"}
audience = {"rule": "group", "group_id": GROUP}
members = User.objects.filter(member_groups=GROUP).order_by("pk")
some = list(members.values_list("pk", flat=True)[:50])
few = {"rule": "custom", "user_ids": some}
variants = [CampaignVariantBody(name="A"), CampaignVariantBody(name="B")]
campaign = CampaignService().create(
    body=CampaignBody(
        name="May", audience=few, template_path=path, context=values, channels=["email"],
        ab_test=CampaignABTestBody(variants=variants),
    ),
    caller=SYSTEM, now=now,
)
CampaignService().launch(identifier=campaign.key, caller=SYSTEM, now=now)
series = MailSeriesService().create(
    body=MailSeriesBody(
        name="Welcome", trigger=SeriesTriggerBody(on="event", event="trial.started"),
        steps=[SeriesStepBody(template_path=path), SeriesStepBody(template_path=path, wait_days=3)],
        context=values,
    ),
    caller=SYSTEM, now=now,
)
MailSeriesService().launch(identifier=series.key, caller=SYSTEM, now=now)
test = ABTestService().create(
    body=ABTestBody(
        name="Short", template_id=template.pk,
        variants=[ABTestVariantBody(name="A"), ABTestVariantBody(name="B")],
    ),
    caller=SYSTEM,
)
ABTestService().start(identifier=test.id, caller=SYSTEM)
made = ListService().create(
    body=ListBody(name="School news", slug="school-news", category="announcement"), caller=SYSTEM
)
broadcast = Broadcast.objects.create(
    target_group="composed", message="Snow everywhere", channels=["in_app"], recipient_count=300,
    target_filter={"from": audience, "except": {"rule": "all_teachers"}},
)
sent = BroadcastWorkflow().create(
    body={
        "target_group": "custom", "target_filter": {"user_ids": some}, "message": "Snow",
        "channels": ["in_app"], "send_immediately": True,
    },
    caller=SYSTEM, now=now,
)
draft = CampaignService().duplicate(identifier=campaign.key, caller=SYSTEM, now=now)
print(broadcast.pk, campaign.key, series.key, test.id, made.key, sent.data.id, draft.key)
"""
_STOP = """
from notifications.domain.callers import SYSTEM
from notifications.features.operations.service import OperationsService
OperationsService().stop(scope="channel", value="in_app", reason="test", caller=SYSTEM)
"""
_LIFT = """
from notifications.domain.callers import SYSTEM
from notifications.features.operations.service import OperationsService
OperationsService().lift(scope="channel", value="in_app", caller=SYSTEM)
"""
PAGES = (
    "broadcasts:/console/broadcasts/",
    "composer:/console/broadcasts/new/",
    "broadcast:/console/broadcasts/{broadcast}/",
    "dry_run:/console/broadcasts/{broadcast}/dry-run/",
    "recipients:/console/broadcasts/{sent}/recipients/",
    "campaigns:/console/campaigns/",
    "campaign:/console/campaigns/{campaign}/",
    "campaign_report:/console/campaigns/{campaign}/report/",
    "campaign_composer:/console/campaigns/new/",
    "campaign_recipients:/console/campaigns/{campaign}/recipients/",
    "estimate:/console/campaigns/{draft}/estimate/",
    "all_series:/console/series/",
    "series:/console/series/{series}/",
    "series_composer:/console/series/new/",
    "experiments:/console/experiments/",
    "experiment:/console/experiments/{test}/",
    "lists:/console/lists/",
    "list:/console/lists/{list}/",
)
NARROW = ("broadcast", "composer", "campaign", "series", "series_composer", "experiment", "list")
"""The pages that are opened on a narrow screen as well."""
SIZES = {"narrow": (390, 844), "wide": (1280, 900)}


class Staff:
    """A running service, and browsers in which two members of staff have signed in."""

    def __init__(self, place: Installation, home: str, browser: Browser) -> None:
        self.place, self.home, self._browser = place, home, browser
        self._sessions = dict(zip(("admin", "second"), place.python(_PEOPLE).split(), strict=True))
        keys = place.python(_ROWS.replace("GROUP", str(_group(place)))).split()
        names = ("broadcast", "campaign", "series", "test", "list", "sent", "draft")
        self.keys = dict(zip(names, keys, strict=True))
        self.faults: list[str] = []

    def open(self, who: str = "admin", **options: Any) -> BrowserContext:
        context = self._browser.new_context(**options)
        session = self._sessions[who]
        context.add_cookies([{"name": "sessionid", "value": session, "url": self.home}])
        context.on(
            "console",
            lambda line: self.faults.append(line.text) if line.type == "error" else None,
        )
        return context


def _group(place: Installation) -> int:
    (row,) = place.query("SELECT id FROM directory_group WHERE name = 'Class 7'")
    return int(row[0])


@pytest.fixture(scope="module")
def staff(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Staff]:
    port = free_port()
    home = f"http://127.0.0.1:{port}"
    place = Installation(
        tmp_path_factory.mktemp("casting"), public_url=home, broadcast_approval_threshold="100"
    )
    place.prepare(demo=True)
    with place.running("serve", "--port", str(port)), sync_playwright() as driver:
        wait_until(lambda: _ready(f"{home}/health/ready"))
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        found = Staff(place, home, browser)
        yield found
        browser.close()
    assert found.faults == []


def write(page: Page, home: str, title: str) -> None:
    """Fills the form of a broadcast to the class."""
    page.goto(f"{home}/console/broadcasts/")
    page.get_by_role("link", name="Write a broadcast").click()
    page.get_by_role("combobox", name="Who", exact=True).first.select_option(label="Class 7")
    page.get_by_label("Title").fill(title)
    page.get_by_label("Message").fill("The school is closed on Friday.")
    page.get_by_role("checkbox", name="Email").uncheck()


def test_a_broadcast_from_the_first_word_to_the_end(staff: Staff) -> None:
    """Compose, dry run, approve by a second person, launch, pause, resume and finish."""
    context, other = staff.open(), staff.open("second")
    page = context.new_page()
    write(page, staff.home, "Closed on Friday")
    page.get_by_role("button", name="Preview").click()
    expect(page.frame_locator("iframe[name=preview]").get_by_role("heading")).to_have_text(
        "Closed on Friday"
    )
    page.evaluate("window.same = true")
    chosen = page.get_by_role("combobox", name="Who", exact=True).first
    chosen.select_option("")
    page.get_by_role("button", name="Count", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("choose who gets it")
    chosen.select_option(label="Class 7")
    page.get_by_role("button", name="Count", exact=True).click()
    expect(page.get_by_text("300 people in the audience.")).to_be_visible()
    assert page.evaluate("window.same") is True
    expect(page.get_by_text("the person switched notifications off: 1")).to_be_visible()
    shot(page, "casting-composer-counted")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("was written")
    page.get_by_role("link", name="Dry run").click()
    expect(page.get_by_text("A second person must approve it.")).to_be_visible()
    page.get_by_role("button", name="Begin now").click()
    expect(page.get_by_role("status")).to_contain_text("awaits approval")
    shot(page, "casting-awaits")
    staff.place.python(_STOP)
    second = other.new_page()
    second.goto(page.url)
    second.get_by_role("button", name="Approve").click()
    expect(second.get_by_role("status")).to_contain_text("approved")
    shot(second, "casting-sending")
    state = second.locator("[data-figure=state]")
    page.goto(second.url)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status")).to_contain_text("paused")
    expect(state).to_have_text("paused", timeout=30_000)
    second.get_by_role("button", name="Resume").click()
    expect(second.get_by_role("status")).to_contain_text("resumed")
    staff.place.python(_LIFT)
    expect(state).to_have_text("completed", timeout=60_000)
    expect(second.locator("[data-figure=total-sent]")).to_have_text("299")
    expect(second.get_by_role("button", name="Pause")).to_have_count(0)
    shot(second, "casting-completed")
    context.close()
    other.close()


def test_why_one_student_did_not_get_it_in_at_most_three_pages(staff: Staff) -> None:
    states = "SELECT count(*) FROM notifications_broadcastrecipient WHERE state = 'suppressed'"
    wait_until(lambda: staff.place.query(states)[0][0] > 0)
    context = staff.open(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{staff.home}/console/broadcasts/{staff.keys['sent']}/")
    page.get_by_role("searchbox").fill("pupil7@example.com")
    page.get_by_role("button", name="Find out").click()
    expect(page.get_by_role("cell", name="the person switched notifications off")).to_be_visible()
    page.get_by_role("link", name="What happened").click()
    expect(page.get_by_text("the person switched notifications off").first).to_be_visible()
    context.close()


def test_an_ab_test_is_ended_from_the_first_page(staff: Staff) -> None:
    context = staff.open()
    page = context.new_page()
    page.goto(f"{staff.home}/console/")
    page.get_by_role("link", name="A/B tests").click()
    page.get_by_role("link", name="Short").click()
    page.get_by_text("Declare a winner").click()
    section = page.locator("details[open]")
    section.get_by_label("Winner").select_option("B")
    section.get_by_label("Reason").fill("clearer words")
    section.get_by_role("button", name="Declare").click()
    expect(page.get_by_role("status")).to_be_visible()
    expect(page.get_by_text("clearer words").first).to_be_visible()
    expect(page.get_by_role("button", name="Declare")).to_have_count(0)
    context.close()


def test_it_is_written_and_counted_without_scripts(staff: Staff) -> None:
    context = staff.open(java_script_enabled=False)
    page = context.new_page()
    write(page, staff.home, "Without scripts")
    page.get_by_role("combobox", name="Field").select_option(label="role")
    page.get_by_role("textbox", name="Value").fill("student")
    page.get_by_role("button", name="Count", exact=True).click()
    expect(page.get_by_text("300 people in the audience.")).to_be_visible()
    assert page.get_by_label("Title").input_value() == "Without scripts"
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("group «Class 7» where role is student")).to_be_visible()
    context.close()


def test_a_series_of_three_mails_is_written_and_launched(staff: Staff) -> None:
    """Without scripts: write, correct an error, add a mail between two others, launch, pause."""
    context = staff.open(java_script_enabled=False, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(f"{staff.home}/console/series/")
    page.get_by_role("link", name="Write a series").click()
    page.get_by_label("Name", exact=True).fill("First steps")
    page.get_by_label("For an event: its name").fill("course.begun")
    page.get_by_label("Variables").fill("amount=29.99")
    paths, days = page.get_by_label("Template path"), page.get_by_label("Wait, in days")
    paths.nth(0).fill("user.payment.success")
    paths.nth(1).fill("no.such.template")
    days.nth(1).fill("3")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("steps[1].template_path")
    assert "400" in staff.faults.pop()  # the browser notes the refusal
    shot(page, "casting-series-fault-narrow")
    paths.nth(1).fill("user.payment.success")
    paths.nth(2).fill("user.payment.success")
    page.get_by_label("Place").nth(2).fill("1.5")
    days.nth(2).fill("1")
    page.get_by_label("Then until this time").nth(2).fill("09:00")
    page.get_by_role("button", name="More rows").click()
    expect(page.get_by_role("group", name="Mail 2").get_by_label("Wait, in days")).to_have_value(
        "1"
    )
    expect(paths).to_have_count(4)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("was written")
    steps = page.locator("ol.steps > li")
    expect(steps).to_have_count(3)
    expect(steps.nth(1)).to_contain_text("after 1 day, at 09:00")
    page.get_by_role("button", name="Launch").click()
    expect(page.get_by_role("status")).to_contain_text("waits for the approval of a second person")
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    second = staff.open("second", java_script_enabled=False)
    review = second.new_page()
    review.goto(f"{staff.home}/console/")
    review.get_by_role("link", name="series wait").click()
    review.get_by_role("link", name="First steps").click()
    review.get_by_role("button", name="Approve").click()
    expect(review.get_by_role("status")).to_be_visible()
    second.close()
    page.reload()
    page.get_by_role("link", name="Change").click()
    expect(page.get_by_label("People enter")).to_have_count(0)
    shot(page, "casting-series-change-narrow")
    context.close()


def test_a_segment_is_written_and_counted_in_its_place(staff: Staff) -> None:
    context = staff.open(color_scheme="dark")
    page = context.new_page()
    page.goto(f"{staff.home}/console/segments/")
    page.get_by_role("link", name="Write a segment").click()
    page.evaluate("window.same = true")
    page.get_by_label("Name", exact=True).fill("Pupils of class 7")
    page.get_by_role("button", name="Count", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("at least one condition")
    page.get_by_role("combobox", name="Field").select_option(label="groups, by id")
    page.get_by_role("textbox", name="Value").fill(str(_group(staff.place)))
    page.get_by_role("button", name="Count", exact=True).click()
    expect(page.get_by_text("300 people in the segment.")).to_be_visible()
    assert page.evaluate("window.same") is True
    shot(page, "segment-form-counted-dark")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("was saved")
    page.get_by_role("link", name="Count and list them").click()
    expect(page.get_by_role("heading", name="People: 300")).to_be_visible()
    context.close()


@pytest.mark.parametrize(("size", "scheme"), [("narrow", "dark"), ("wide", "light")])
def test_every_page_fits_and_axe_finds_nothing(staff: Staff, size: str, scheme: Any) -> None:
    width, height = SIZES[size]
    context = staff.open(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    wrong: dict[str, Any] = {}
    for named in PAGES:
        name, _, path = named.partition(":")
        if size == "narrow" and name not in NARROW:
            continue
        answer = page.goto(staff.home + path.format(**staff.keys), wait_until="load")
        assert answer is not None
        assert answer.status == 200, path
        if name == "campaign":  # its report is loaded after it
            expect(page.get_by_role("heading", name="Messages")).to_be_visible()
        shot(page, f"casting-{name}-{size}-{scheme}")
        found = violations(page)
        over = page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth")
        if found or over > 0:
            wrong[name] = (found, over)
    context.close()
    assert wrong == {}


def test_the_pages_are_those_that_pictures_are_taken_of() -> None:
    folder = Path(__file__).parents[2] / "src/console/templates/console/casting"
    pages = {path.stem for path in folder.glob("*.html")} - {"frame"}
    assert pages == {named.partition(":")[0] for named in PAGES}
