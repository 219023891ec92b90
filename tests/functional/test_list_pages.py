"""The pages of mailing lists in real Chromium: by keyboard, and axe finds no violations.

With CARILLON_SCREENSHOTS, a folder, each page is stored there as a picture.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.functional.installation import Installation, free_port, wait_until
from tests.functional.test_browser import CHROMIUM, _ready
from tests.functional.test_preference_centre import (
    chromium,
    page,
    tab_to,
    tab_to_button,
    violations,
)

__all__ = ["chromium", "page"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.skipif(CHROMIUM is None, reason="browser tests need Chromium: make browser"),
]
SHOTS = os.environ.get("CARILLON_SCREENSHOTS", "")
ROWS = """
import json
from directory.models import SubscriberList, User
from notifications.domain.callers import SYSTEM
from notifications.features.broadcasts.delivery import launch
from notifications.features.lists.joining import Joining, join
from notifications.infra import clock
from notifications.infra.links import leave_list_url, preferences_url
from notifications.models import Broadcast
news = SubscriberList.objects.create(
    name="School news", slug="school-news", description="Once a month", is_public=True,
    has_archive=True, category="announcement", double_opt_in=False,
)
club = SubscriberList.objects.create(
    name="Chess club", slug="chess-club", is_public=True, category="announcement",
)
User.objects.filter(username__in=["student1", "student2"]).update(locale="en")
one, two = User.objects.get(username="student1"), User.objects.get(username="student2")
join(news, [one.pk, two.pk], Joining(caller=SYSTEM, source="api"))
join(club, [two.pk], Joining(caller=SYSTEM, source="api"))
made = Broadcast.objects.create(
    target_group="list", target_filter={"list_id": news.pk}, title="The news of May",
    message="The choir sings on Friday.\\n\\nSee https://example.com/choir", channels=["in_app"],
    in_archive=True,
)
launch.begin(made.pk, now=clock.now())
launch.continue_launch(made.pk)
print(json.dumps({
    "issue": str(made.uuid), "broadcast": made.pk, "club": club.pk, "one": one.pk, "two": two.pk,
    "leave": leave_list_url(one.pk, news.pk, one.email),
    "preferences": preferences_url(one.pk, one.email),
}))
"""
CONFIRM = """
import json, re
from notifications.models import SandboxMessage
bodies = "\\n".join(row.content["body"] for row in SandboxMessage.objects.filter(channel="email"))
print(json.dumps(re.findall(r"https?://\\S+/confirm/\\S+", bodies)))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, Any]]:
    port = free_port()
    home = f"http://127.0.0.1:{port}"
    made = Installation(tmp_path_factory.mktemp("lists"), public_url=home)
    made.prepare(demo=True)
    with made.running("serve", "--port", str(port)):
        wait_until(lambda: _ready(f"{home}/health/ready"))
        rows = json.loads(made.python(ROWS))
        wait_until(lambda: finished(made, rows["broadcast"]))
        wait_until(lambda: json.loads(made.python(CONFIRM)))
        yield made, {**rows, "home": home, "confirm": json.loads(made.python(CONFIRM))[0]}


def finished(made: Installation, broadcast: int) -> bool:
    sql = f"SELECT status FROM notifications_broadcast WHERE id = {broadcast}"
    return [row[0] for row in made.query(sql)] == ["completed"]


def status(made: Installation, list_slug: str, user: int) -> str:
    (row,) = made.query(
        "SELECT m.state FROM directory_listmembership m JOIN directory_subscriberlist l"
        f" ON l.id = m.list_id WHERE l.slug = '{list_slug}' AND m.user_id = {user}"
    )
    return str(row[0])


def shoot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


def test_an_archive_is_read_without_a_login(place: Any, page: Page) -> None:
    _, rows = place
    page.goto(f"{rows['home']}/lists/school-news/archive")
    assert violations(page) == []
    shoot(page, "list-archive")

    page.get_by_role("link", name="The news of May").click()
    assert page.url.split("?")[0].endswith(rows["issue"])
    assert page.get_by_role("link", name="https://example.com/choir").is_visible()
    assert violations(page) == []
    shoot(page, "list-issue")

    page.get_by_role("link", name="Русский").click()
    assert page.evaluate("document.documentElement.lang") == "ru"


def test_a_person_confirms_by_keyboard(place: Any, page: Page) -> None:
    made, rows = place
    page.goto(rows["confirm"])
    assert violations(page) == []
    assert status(made, "chess-club", rows["two"]) == "pending"
    shoot(page, "list-confirm")
    tab_to_button(page)
    page.keyboard.press("Enter")

    page.get_by_role("heading", name="Thank you").wait_for()
    assert violations(page) == []
    assert status(made, "chess-club", rows["two"]) == "subscribed"


def test_a_person_joins_in_the_preference_centre(place: Any, page: Page) -> None:
    made, rows = place
    page.goto(rows["preferences"])
    assert violations(page) == []
    assert page.get_by_label("School news: Once a month").is_checked()
    shoot(page, "list-preferences")
    tab_to(page, f"list_{rows['club']}")
    page.keyboard.press("Space")
    tab_to(page, "lists")
    page.keyboard.press("Enter")

    page.get_by_text("We have sent you an email").wait_for()
    assert violations(page) == []
    assert status(made, "chess-club", rows["one"]) == "pending"


def test_a_person_leaves_by_the_link_of_a_mail(place: Any, page: Page) -> None:
    made, rows = place
    page.goto(rows["leave"])
    assert violations(page) == []
    assert status(made, "school-news", rows["one"]) == "subscribed"
    shoot(page, "list-leave")
    tab_to_button(page)
    page.keyboard.press("Enter")

    page.get_by_text("You are no longer on the list").wait_for()
    assert violations(page) == []
    assert status(made, "school-news", rows["one"]) == "unsubscribed"
