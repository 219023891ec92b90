"""The console in real Chromium: narrow and wide, light and dark, with and without scripts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.clients.pages import violations
from tests.functional.installation import Installation, free_port, wait_until
from tests.functional.test_browser import CHROMIUM, QUIET, _ready, pytestmark  # noqa: F401
from tests.functional.test_headers import SESSION
from tests.functional.test_sign_in import shot

_LETTERS = """
from notifications.infra import clock
from notifications.models import DeadLetter, NotificationMessage
for message in NotificationMessage.objects.order_by("pk")[:3]:
    DeadLetter.objects.create(
        message_id=message.pk, notification_id=message.notification_id, channel=message.channel,
        provider="sandbox", category="payment", code="timeout", failed_at=clock.now(),
        last_error="no response within 10 s",
    )
print(NotificationMessage.objects.filter(channel="email").first().notification.uuid)
"""
_FAILED = """
from notifications.infra import clock
from notifications.models import DeadLetter, NotificationMessage
message = NotificationMessage.objects.filter(channel="email").first()
NotificationMessage.objects.filter(pk=message.pk).update(status="failed")
DeadLetter.objects.filter(message_id=message.pk).delete()
DeadLetter.objects.create(
    message_id=message.pk, notification_id=message.notification_id, channel="email",
    category="payment", code="timeout", failed_at=clock.now(),
)
"""
PAGES = (
    "overview:/console/",
    "notifications:/console/notifications/",
    "notification:/console/notifications/{uuid}/",
    "people:/console/people/?find=student1",
    "person:/console/people/{person}/",
    "dead-letters:/console/dead-letters/",
    "queues:/console/queues/",
    "providers:/console/providers/",
    "stops:/console/stops/",
    "first-run:/console/first-run/",
    "styleguide:/console/styleguide/",
)
SIZES = {"narrow": (390, 844), "wide": (1280, 900)}


class Console:
    """A running service with a few messages, and browsers in which an admin has signed in."""

    def __init__(self, place: Installation, home: str, browser: Browser) -> None:
        self.place, self.home, self._browser = place, home, browser
        self._session = place.python(SESSION).strip()
        self.uuid = place.python(_LETTERS).strip()
        code = "from directory.models import User;"
        code += "print(User.objects.get(username='student1').pk)"
        self.person = place.python(code).strip()
        self.faults: list[str] = []

    def open(self, **options: Any) -> BrowserContext:
        context = self._browser.new_context(**options)
        context.add_cookies([{"name": "sessionid", "value": self._session, "url": self.home}])
        context.on(
            "console",
            lambda line: self.faults.append(line.text) if line.type == "error" else None,
        )
        return context

    def url(self, path: str) -> str:
        return self.home + path.format(uuid=self.uuid, person=self.person)


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    port = free_port()
    home = f"http://127.0.0.1:{port}"
    place = Installation(tmp_path_factory.mktemp("console"), public_url=home)
    place.prepare(demo=True)
    with place.running("serve", "--port", str(port)), sync_playwright() as driver:
        wait_until(lambda: _ready(f"{home}/health/ready"))
        for channel in ("email", "in_app", "push"):
            sent = place.carillon(
                "send", "user.payment.success", "--to", "student1", "--channel", channel,
                "--context", "amount=29.99",
            )  # fmt: skip
            assert sent.returncode == 0, sent.stderr
        wait_until(lambda: not place.statuses().get("pending"))
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        found = Console(place, home, browser)
        yield found
        browser.close()
    assert found.faults == []


@pytest.mark.parametrize(("size", "scheme"), list(itertools.product(SIZES, ("light", "dark"))))
def test_every_page_fits_and_axe_finds_nothing(console: Console, size: str, scheme: Any) -> None:
    width, height = SIZES[size]
    context = console.open(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    wrong: dict[str, Any] = {}
    for named in PAGES:
        name, _, path = named.partition(":")
        answer = page.goto(console.url(path), wait_until="load")
        assert answer is not None
        assert answer.status == 200, path
        shot(page, f"console-{name}-{size}-{scheme}")
        found = violations(page)
        over = page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth")
        if found or over > 0:
            wrong[name] = (found, over)
    context.close()
    assert wrong == {}


def test_every_page_is_usable_at_400_percent_and_in_forced_colours(console: Console) -> None:
    """A window of 1280 pixels has 320 CSS pixels at 400 % (WCAG 2.2, 1.4.10)."""
    context = console.open(
        viewport={"width": 320, "height": 256}, forced_colors="active", reduced_motion="reduce"
    )
    page = context.new_page()
    wrong: dict[str, Any] = {}
    for named in PAGES:
        name, _, path = named.partition(":")
        page.goto(console.url(path), wait_until="load")
        shot(page, f"console-{name}-zoom-forced")
        over = page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth")
        page.keyboard.press("Tab")
        ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        if over > 0 or ring == "none":
            wrong[name] = (over, ring)
    context.close()
    assert wrong == {}


@pytest.mark.parametrize(("width", "height"), [(390, 844), (320, 256)])
def test_the_menu_of_a_narrow_screen_opens_without_scripts(
    console: Console, width: int, height: int
) -> None:
    context = console.open(viewport={"width": width, "height": height}, java_script_enabled=False)
    page = context.new_page()
    page.goto(console.url("/console/stops/"))
    menu = page.get_by_role("button", name="Menu")
    sections = page.get_by_role("navigation", name="Sections")
    expect(sections).to_be_hidden()
    menu.press("Enter")
    expect(sections).to_be_visible()
    shot(page, f"console-menu-{width}")
    page.keyboard.press("Escape")
    expect(sections).to_be_hidden()
    menu.press("Enter")
    sections.get_by_role("button", name="Close").click()
    expect(sections).to_be_hidden()
    menu.press("Enter")
    page.keyboard.press("Tab")
    expect(sections.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Tab")
    expect(sections.get_by_role("link", name="Overview")).to_be_focused()
    sections.get_by_role("link", name="Storage by age").click()
    page.wait_for_url("**/console/retention")
    context.close()


def test_an_open_menu_has_no_fault_that_axe_finds(console: Console) -> None:
    context = console.open(viewport={"width": 390, "height": 844}, color_scheme="dark")
    page = context.new_page()
    page.goto(console.url("/console/"))
    page.get_by_role("button", name="Menu").click()
    shot(page, "console-menu-narrow-dark")
    assert violations(page) == []
    context.close()


@pytest.mark.parametrize(("size", "scheme"), [("narrow", "dark"), ("wide", "light")])
def test_the_admin_pages_have_the_colours_of_the_console(
    console: Console, size: str, scheme: Any
) -> None:
    width, height = SIZES[size]
    context = console.open(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    away: list[str] = []
    page.on("request", lambda one: away.append(one.url) if console.home not in one.url else None)
    surface = "getComputedStyle(document.body).backgroundColor"
    page.goto(console.url("/console/"))
    expected = page.evaluate(surface)
    for name, path in (("index", "/admin/"), ("list", "/admin/notifications/category/")):
        page.goto(console.url(path), wait_until="load")
        shot(page, f"admin-{name}-{size}-{scheme}")
        assert page.evaluate(surface) == expected
        assert violations(page) == [], path
    page.get_by_role("link", name="Console", exact=True).click()
    page.wait_for_url("**/console")
    assert away == []
    context.close()


def test_figures_are_live_and_the_chart_is_drawn(console: Console) -> None:
    context = console.open()
    page = context.new_page()
    page.goto(console.url("/console/"))
    expect(page.locator("throughput-chart canvas")).to_be_visible()
    sent = page.locator("[data-figure=total-sent]")
    before = int(sent.inner_text())
    console.place.carillon(
        "send", "user.payment.success", "--to", "student2", "--channel", "email",
        "--context", "amount=1",
    )  # fmt: skip
    expect(sent).to_have_text(str(before + 1), timeout=60_000)
    context.close()


def test_the_search_works_without_loading_the_page(console: Console) -> None:
    context = console.open()
    page = context.new_page()
    page.goto(console.url("/console/people/"))
    page.evaluate("window.same = true")
    page.get_by_role("searchbox").fill("student2@example.com")
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator("#results table tbody tr")).to_have_count(1)
    assert page.evaluate("window.same") is True
    assert "find=student2" in page.url
    page.get_by_role("searchbox").fill(console.uuid)
    page.get_by_role("searchbox").press("Enter")
    page.wait_for_url(f"**/console/notifications/{console.uuid}")
    context.close()


@pytest.mark.parametrize("scripts", [True, False])
def test_everything_is_stopped_and_resumed(console: Console, scripts: bool) -> None:
    context = console.open(java_script_enabled=scripts)
    page = context.new_page()
    page.goto(console.url("/console/"))
    page.get_by_role("link", name="Stop or resume sending").click()
    section = page.get_by_role("region", name="Stop everything")
    section.get_by_label("Reason").fill("wrong price")
    section.get_by_role("button").click()
    expect(page.get_by_role("status")).to_contain_text("Stopped: everything")
    assert "all" in console.place.carillon("kill-switch", "list").stdout
    page.goto(console.url("/console/"))
    expect(page.get_by_role("link", name="Everything is stopped")).to_be_visible()
    page.get_by_role("link", name="Everything is stopped").click()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("Nothing is stopped.")).to_be_visible()
    context.close()


def test_a_form_without_scripts_is_reached_by_keyboard(console: Console) -> None:
    context = console.open(java_script_enabled=False)
    page = context.new_page()
    page.goto(console.url("/console/stops/"))
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("by keyboard")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Stopped: everything")
    page.get_by_role("button", name="Resume").press("Enter")
    expect(page.get_by_text("Nothing is stopped.")).to_be_visible()
    context.close()


def test_dead_letters_are_sent_again_from_the_first_page(console: Console) -> None:
    console.place.python(_FAILED)
    context = console.open()
    page = context.new_page()
    page.goto(console.url("/console/"))
    page.get_by_role("link", name="dead letters").first.click()
    page.get_by_label("Channel").select_option(label="Email")
    page.get_by_role("button", name="Filter").click()
    page.locator("button[value='replay-matching']").click()
    expect(page.get_by_role("status")).to_contain_text("1")
    wait_until(lambda: console.place.statuses().get("failed") is None)
    page.goto(console.url("/console/notifications/{uuid}/"))
    expect(page.get_by_text("Queued again").first).to_be_visible()
    context.close()


def test_a_person_is_erased_from_the_first_page(console: Console) -> None:
    context = console.open()
    page = context.new_page()
    page.goto(console.url("/console/"))
    page.get_by_role("link", name="People").click()
    page.get_by_role("searchbox").fill("student9")
    page.get_by_role("searchbox").press("Enter")
    page.locator("tbody a").first.click()
    page.get_by_text("Erase", exact=True).click()
    section = page.locator("details[open]")
    section.get_by_label("Reason").fill("asked by letter")
    section.get_by_label("Type the word erase").fill("erase")
    section.get_by_role("button", name="Erase this person").click()
    expect(page.get_by_role("status")).to_contain_text("The erasure has begun")
    wait_until(lambda: _usernames(console, "student9") == 0)
    page.goto(console.url("/console/people/?find=student9"))
    expect(page.get_by_text("No one matches.")).to_be_visible()
    page.goto(console.url("/console/retention/erasures/"))
    expect(page.get_by_role("row").nth(1)).to_contain_text("asked by letter")
    context.close()


def _usernames(console: Console, name: str) -> int:
    code = "from directory.models import User;"
    return int(console.place.python(f"{code}print(User.objects.filter(username='{name}').count())"))


def test_all_rows_are_marked_by_one_box(console: Console) -> None:
    context = console.open()
    page: Page = context.new_page()
    page.goto(console.url("/console/dead-letters/"))
    page.locator("thead input[type=checkbox]").check()
    boxes = page.locator("tbody input[type=checkbox]")
    assert all(box.is_checked() for box in boxes.all())
    page.get_by_label("Reason").fill("only a test")
    page.get_by_role("button", name="Discard the marked").click()
    expect(page.get_by_role("status")).to_contain_text("resolved")
    context.close()


def test_what_was_written_is_in_a_frame(console: Console) -> None:
    context = console.open()
    page = context.new_page()
    page.goto(console.url("/console/notifications/{uuid}/"))
    frame = page.frame_locator("iframe").first
    expect(frame.get_by_text("$29.99").first).to_be_visible()
    context.close()


def test_the_pages_are_those_that_pictures_are_taken_of() -> None:
    folder = Path(__file__).parents[2] / "src/console/templates/console"
    pages = {path.stem.replace("_", "-") for path in folder.glob("*.html")} - {"base"}
    assert pages == {named.partition(":")[0] for named in PAGES}
