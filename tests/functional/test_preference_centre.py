"""The preference centre and the pages of links in real Chromium: keyboard only, and axe finds
no violations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Page, sync_playwright

from tests.functional.installation import Installation, free_port, wait_until
from tests.functional.test_browser import CHROMIUM, QUIET, _ready

pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.skipif(CHROMIUM is None, reason="browser tests need Chromium: make browser"),
]
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
MOST_TABS = 250
LINKS = """
import base64, json
from datetime import UTC, datetime
import notifications.infra.clock as clock
from directory.models import User
from notifications.infra.links import *
since = str(int((clock.now() - datetime(2000, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000))
purpose = base64.urlsafe_b64encode(b"marketing").decode().rstrip("=")
people = User.objects.filter(role="student").order_by("pk")[:40]
User.objects.filter(pk__in=[user.pk for user in people]).update(
    locale="en", timezone="Europe/Paris"
)
links = {}
for user in people:
    token = sign_link(LinkKind.CONFIRM, str(user.pk), address_mark(user.email), since, purpose)
    links[user.username] = [
        user.pk,
        preferences_url(user.pk, user.email),
        unsubscribe_url(user.pk, "course", user.email),
        preferences_url(0).partition("/preferences/")[0] + "/confirm/" + token,
    ]
print(json.dumps(links))
"""
SAVED = """
import json, msgspec
from directory.models import User
from notifications.features.preferences.service import preferences_of
print(json.dumps(msgspec.to_builtins(preferences_of(User.objects.get(username="@@name@@").pk))))
"""


class Person:
    """A user of a running installation, with the links of their mails."""

    def __init__(self, place: Installation, name: str, number: int, *links: str) -> None:
        self.place, self.name, self.number = place, name, number
        self.preferences, self.unsubscribe, self.confirm = links
        self.home = self.preferences.partition("/preferences/")[0]

    def saved(self) -> Any:
        return json.loads(self.place.python(SAVED.replace("@@name@@", self.name)))

    def switches(self) -> list[tuple[str, int]]:
        """Returns the categories with a choice, and whether mails are on."""
        return self.place.query(
            "SELECT category, email_enabled FROM notifications_notificationcategorypreference"
            f" WHERE user_id = {self.number}"
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    port = free_port()
    home = f"http://127.0.0.1:{port}"
    made = Installation(tmp_path_factory.mktemp("centre"), public_url=home)
    made.prepare(demo=True)
    with made.running("serve", "--port", str(port)):
        wait_until(lambda: _ready(f"{home}/health/ready"))
        yield made


@pytest.fixture(scope="module")
def people(place: Installation) -> Iterator[Person]:
    found = json.loads(place.python(LINKS))
    return iter([Person(place, name, *rest) for name, rest in found.items()])


@pytest.fixture
def person(people: Iterator[Person]) -> Person:
    """Returns another user for each test."""
    return next(people)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any) -> Iterator[Page]:
    """Yields a page with a fresh profile. An error on the console fails the test."""
    context = chromium.new_context()
    shown = context.new_page()
    faults: list[str] = []
    shown.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
    shown.on("pageerror", lambda error: faults.append(str(error)))
    yield shown
    context.close()
    # Chromium itself reports a refused form.
    assert [fault for fault in faults if "400 (Bad Request)" not in fault] == []


def violations(page: Page) -> list[str]:
    """Returns what axe finds, by every rule of WCAG 2.2 AA and of best practice."""
    page.evaluate(AXE)  # through the debugger: the page's policy allows no scripts
    found = page.evaluate("axe.run()")
    assert found["passes"], "axe has checked nothing"
    return [
        f"{each['id']}: {node['html'][:120]}"
        for each in found["violations"]
        for node in each["nodes"]
    ]


def tab_to(page: Page, name: str) -> None:
    """Presses Tab until a control with this id or name has the focus."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        at = page.evaluate("[document.activeElement.id, document.activeElement.name]")
        if name in at:
            return
    raise AssertionError(f"the Tab key never reaches {name}")


def tab_to_button(page: Page) -> None:
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "BUTTON":
            return
    raise AssertionError("the Tab key never reaches a button")


def test_everything_is_changed_by_keyboard_alone(person: Person, page: Page) -> None:
    page.goto(person.preferences)
    before = person.saved()["global"]

    tab_to(page, "marketing_enabled")
    page.keyboard.press("Space")
    tab_to(page, "sms_enabled")
    page.keyboard.press("Space")
    tab_to(page, "course:email_enabled")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    page.keyboard.press("Space")
    tab_to(page, "digest_frequency")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    tab_to(page, "quiet_hours_enabled")
    page.keyboard.press("Space")
    tab_to(page, "quiet_hours_start")
    page.keyboard.type("0930PM")
    tab_to(page, "timezone")
    page.keyboard.type("Asia/Tokyo")
    tab_to(page, "mute")
    page.keyboard.type("for 4")
    tab_to_button(page)
    page.keyboard.press("Enter")
    page.wait_for_url("**saved=1**")

    assert outline == "solid"
    assert page.get_by_role("status").inner_text() == "Saved. The changes apply now."
    after = person.saved()
    changed = {name for name, value in after["global"].items() if before[name] != value}
    assert changed == {
        "marketing_enabled", "sms_enabled", "digest_frequency", "quiet_hours_enabled",
        "quiet_hours_start", "timezone", "dnd_until",
    }  # fmt: skip
    overall = after["global"]
    assert overall["marketing_enabled"] != before["marketing_enabled"]
    assert overall["digest_frequency"] == "daily"
    assert (overall["quiet_hours_start"], overall["timezone"]) == ("21:30:00", "Asia/Tokyo")
    assert after["categories"]["course"]["email_enabled"] is False
    assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "ru"])
def test_axe_finds_nothing_on_any_page(
    person: Person, page: Page, scheme: Any, language: str
) -> None:
    page.emulate_media(color_scheme=scheme)
    urls = (person.preferences, person.unsubscribe, person.confirm, f"{person.home}/preferences")
    for url in urls:
        page.goto(f"{url}?lang={language}")
        assert page.locator("html").get_attribute("lang") == language
        assert violations(page) == [], url


def test_axe_finds_nothing_on_a_form_with_errors(person: Person, page: Page) -> None:
    page.goto(person.preferences)
    page.evaluate("document.querySelector('#quiet_hours_start').type = 'text'")
    page.locator("#quiet_hours_start").fill("25:99")
    page.get_by_role("button", name="Save").press("Enter")
    page.get_by_role("alert").wait_for()

    assert violations(page) == []
    page.get_by_role("alert").get_by_role("link").press("Enter")
    assert page.url.endswith("#quiet_hours_start")


SMALL_TARGETS = """() => [...document.querySelectorAll(
  "a, button, select, input:not([type=hidden], [type=checkbox], [type=radio]), label:has(input)")]
  .map((each) => [each.outerHTML.slice(0, 80), each.getBoundingClientRect()])
  .filter(([, box]) => box.width && (box.width < 44 || box.height < 44))
  .map(([html, box]) => `${html} ${box.width}x${box.height}`)"""
SMALL_BOXES = """() => [...document.querySelectorAll("[type=checkbox], [type=radio]")]
  .filter((each) => { const box = each.getBoundingClientRect();
    return box.width < 24 || box.height < 24 || !each.closest("label"); })
  .map((each) => each.outerHTML.slice(0, 80))"""


def fits(page: Page, width: int) -> None:
    """Asserts that nothing is wider than the screen and that every target is large."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(SMALL_TARGETS) == []
    assert page.evaluate(SMALL_BOXES) == []


@pytest.mark.parametrize("language", ["en", "ru"])
def test_every_page_fits_and_every_target_is_large(
    person: Person, page: Page, language: str
) -> None:
    urls = (person.preferences, person.unsubscribe, person.confirm, f"{person.home}/preferences",
            f"{person.home}/unsubscribe/x")  # fmt: skip
    for url in urls:
        page.goto(f"{url}?lang={language}")
        for width in (320, 768, 1280):
            page.set_viewport_size({"width": width, "height": 740})
            fits(page, width)


def test_a_phone_shows_cards_instead_of_a_table(person: Person, page: Page) -> None:
    page.set_viewport_size({"width": 320, "height": 740})
    page.goto(person.preferences)
    card = page.get_by_role("group", name="Course")
    word = card.get_by_text("Email")

    assert not page.locator(".heads").is_visible()
    assert word.bounding_box()["width"] > 20
    assert violations(page) == []
    word.click()  # the label is part of the target
    assert not card.get_by_label("Course: Email").is_checked()
    page.set_viewport_size({"width": 641, "height": 740})
    assert page.locator(".heads").is_visible()


@pytest.mark.parametrize(
    ("language", "question", "done", "undone"),
    [
        ("en", "Stop receiving course notices?", "“Course”: off on every channel",
         "Your earlier preferences are restored."),
        ("ru", "Больше не получать сообщения", "«Учёба»: выключено на всех каналах",
         "Прежние настройки восстановлены."),
    ],
)  # fmt: skip
def test_stopping_and_undoing_by_keyboard(
    person: Person, page: Page, language: str, question: str, done: str, undone: str
) -> None:
    page.set_viewport_size({"width": 320, "height": 740})
    page.goto(f"{person.unsubscribe}?lang={language}")
    assert question in page.get_by_role("heading").inner_text()
    assert "s***@example.com" in page.inner_text("main")
    assert violations(page) == []

    tab_to_button(page)
    page.keyboard.press("Enter")
    status = page.get_by_role("status")
    status.get_by_text(done).wait_for()
    assert person.switches() == [("course", 0)]
    assert violations(page) == []
    fits(page, 320)

    tab_to_button(page)
    page.keyboard.press("Enter")
    status.get_by_text(undone).wait_for()
    assert person.switches() == []
    assert violations(page) == []
    fits(page, 320)

    page.locator(".more a").press("Enter")
    page.wait_for_url(f"**/preferences/*?lang={language}")
    assert page.locator("[name='course:email_enabled']").is_checked()


def test_confirming_by_keyboard(person: Person, page: Page) -> None:
    page.goto(person.confirm)
    assert person.saved()["global"]["data_processing_consent"] is True  # demo users have it
    tab_to_button(page)
    page.keyboard.press("Enter")

    status = page.get_by_role("status")
    status.wait_for()
    assert status.inner_text().startswith("You have confirmed: I want to receive news and offers")
    assert person.saved()["global"]["marketing_enabled"] is True
    assert violations(page) == []


def test_pages_store_no_cookies_and_request_no_other_host(person: Person, page: Page) -> None:
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(person.preferences)
    page.goto(person.unsubscribe)

    assert page.context.cookies() == []
    assert [url for url in requested if not url.startswith(person.home)] == []
