"""Broadcasts and what belongs to them in real Chromium, from the first word to the last receipt."""

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
PAGES = (
    "broadcasts:/console/broadcasts/",
    "composer:/console/broadcasts/new/",
)
SIZES = {"narrow": (390, 844), "wide": (1280, 900)}


class Staff:
    """A running service, and browsers in which two members of staff have signed in."""

    def __init__(self, place: Installation, home: str, browser: Browser) -> None:
        self.place, self.home, self._browser = place, home, browser
        self._sessions = dict(zip(("admin", "second"), place.python(_PEOPLE).split(), strict=True))
        self.paths: dict[str, str] = {}
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
    second = other.new_page()
    second.goto(page.url)
    second.get_by_role("button", name="Approve").click()
    expect(second.get_by_role("status")).to_contain_text("approved")
    shot(second, "casting-sending")
    expect(second.locator("[data-figure=state]")).to_have_text("completed", timeout=60_000)
    expect(second.locator("[data-figure=total-sent]")).to_have_text("299")
    shot(second, "casting-completed")
    context.close()
    other.close()
