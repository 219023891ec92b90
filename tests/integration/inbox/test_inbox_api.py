"""The routes of the inbox: pages, actions, and what senders take back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from directory.models import User
from notifications.features.inbox.actions import act, end_snoozes
from notifications.infra import clock
from notifications.models import (
    ChangeKind,
    InboxArrival,
    InboxCounter,
    ItemFault,
    Notification,
)
from tests.integration.api.conftest import KeyClient
from tests.integration.factories import make_messages, make_user
from tests.integration.inbox.conftest import arrivals_of, deliver

pytestmark = pytest.mark.django_db
INBOX = "/api/v1/inbox"


@pytest.fixture
def client(as_user: APIClient, user: User) -> APIClient:
    make_messages(3, channel="in_app", user=user)
    deliver()
    return as_user


def ids_of(user: User) -> list[str]:
    return [str(row.uuid) for row in arrivals_of(user)]


def test_a_page_has_items_number_and_position(client: APIClient, user: User) -> None:
    page = client.get(INBOX).json()
    assert [item["id"] for item in page["results"]] == ids_of(user)[::-1]
    assert page["unread"] == 3
    assert page["seq"] == 3
    first = page["results"][0]
    assert (first["title"], first["body"], first["data"]) == ("Title", "Body", {})
    assert first["category"] == "payment"
    assert first["read_at"] is None


def test_pages_follow_one_another_by_cursor(client: APIClient, user: User) -> None:
    first = client.get(INBOX, {"limit": 2}).json()
    assert len(first["results"]) == 2
    second = client.get(first["next"]).json()
    found = [item["id"] for item in (*first["results"], *second["results"])]
    assert found == ids_of(user)[::-1]
    assert second["next"] is None


@pytest.mark.parametrize(
    ("action", "unread", "status"), [("read", 2, "read"), ("archive", 2, "archived")]
)
def test_an_action_and_back(
    client: APIClient, user: User, action: str, unread: int, status: str
) -> None:
    first, *_ = ids_of(user)
    done = client.post(f"{INBOX}/{first}/{action}").json()
    assert done == {"changed": 1, "unread": unread, "seq": 4}
    assert client.post(f"{INBOX}/{first}/{action}").json()["changed"] == 0, "it is so already"
    found = client.get(INBOX, {"status": status}).json()["results"]
    assert [item["id"] for item in found] == [first]
    back = client.post(f"{INBOX}/{first}/un{action}").json()
    assert back["unread"] == 3
    notification = Notification.objects.get(uuid=first)
    assert (notification.read_at, notification.archived_at) == (None, None)


def test_a_snooze_hides_and_returns(client: APIClient, user: User) -> None:
    first, *_ = ids_of(user)
    until = clock.now() + timedelta(hours=1)
    done = client.post(f"{INBOX}/{first}/snooze", {"until": until.isoformat()}, format="json")
    assert done.json()["unread"] == 2, done.json()
    assert first not in [item["id"] for item in client.get(INBOX).json()["results"]]
    assert end_snoozes(now=until - timedelta(seconds=1)) == 0
    assert end_snoozes(now=until) == 1
    assert client.get(f"{INBOX}/unread").json()["unread"] == 3


def test_a_snooze_that_cannot_end_delays_no_other_person(
    client: APIClient, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbour, at = make_user(), clock.now()
    of_neighbour = make_messages(1, channel="in_app", user=neighbour)[0].notification_id
    deliver()
    own = [row.pk for row in arrivals_of(user)]
    act(user.pk, own, ChangeKind.SNOOZED, until=at)
    act(neighbour.pk, [of_neighbour], ChangeKind.SNOOZED, until=at)
    lock = InboxCounter.objects.lock

    def lock_others(user_ids: Iterable[int]) -> dict[int, InboxCounter]:
        wanted = list(user_ids)
        if user.pk in wanted:
            raise ValueError("this row cannot be read")
        return lock(wanted)

    with monkeypatch.context() as patch:
        patch.setattr(InboxCounter.objects, "lock", lock_others)
        assert end_snoozes(now=at) == 1
    assert not InboxArrival.objects.get(pk=of_neighbour).snoozed_until
    assert end_snoozes(now=at) == 0, "it waits a minute"
    assert end_snoozes(now=at + timedelta(minutes=2)) == len(own)
    assert not ItemFault.objects.exists()


@pytest.mark.parametrize("hours", [-1, 24 * 400])
def test_a_snooze_ends_within_a_year(client: APIClient, user: User, hours: int) -> None:
    until = (clock.now() + timedelta(hours=hours)).isoformat()
    refused = client.post(f"{INBOX}/{ids_of(user)[0]}/snooze", {"until": until}, format="json")
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["path"] == "until"


def test_read_all_up_to_a_position_leaves_what_came_later(client: APIClient, user: User) -> None:
    make_messages(1, channel="in_app", user=user)
    deliver()
    done = client.post(f"{INBOX}/read-all", {"up_to": 3}, format="json").json()
    assert (done["changed"], done["unread"]) == (3, 1)
    again = client.post(f"{INBOX}/read-all", {}, format="json").json()
    assert (again["changed"], again["unread"]) == (1, 0)


def test_bulk_ignores_what_is_not_in_the_inbox(client: APIClient, user: User) -> None:
    other = make_user()
    make_messages(1, channel="in_app", user=other)
    deliver()
    body = {"ids": [*ids_of(user)[:2], *ids_of(other)], "action": "read"}
    done = client.post(f"{INBOX}/bulk", body, format="json").json()
    assert (done["changed"], done["unread"]) == (2, 1)
    assert InboxCounter.objects.get(user_id=other.pk).unread == 1


def test_a_foreign_notification_is_unknown(client: APIClient) -> None:
    other = make_user()
    make_messages(1, channel="in_app", user=other)
    deliver()
    refused = client.post(f"{INBOX}/{ids_of(other)[0]}/read")
    assert (refused.status_code, refused.json()["code"]) == (404, "unknown_notification")


def test_a_key_has_no_inbox(with_key: KeyClient) -> None:
    refused = with_key("notifications:read").get(INBOX)
    assert (refused.status_code, refused.json()["code"]) == (403, "person_required")


def test_search_finds_words_of_title_and_body(client: APIClient, user: User) -> None:
    row = arrivals_of(user)[1]
    row.content = {"title": "Order shipped", "body": "On its way", "data": {}}
    row.save()
    found = client.get(INBOX, {"search": "way ORDER"}).json()["results"]
    assert [item["id"] for item in found] == [str(row.uuid)]
    assert client.get(INBOX, {"search": "nothing like it"}).json()["results"] == []


def test_seen_is_noted_and_changes_no_number(client: APIClient, user: User) -> None:
    done = client.post(f"{INBOX}/seen", {"ids": ids_of(user)}, format="json").json()
    assert (done["changed"], done["unread"], done["seq"]) == (3, 3, 3)


class TestRecall:
    """A sender takes back or changes what it sent."""

    @pytest.fixture
    def sender(self, with_key: KeyClient) -> APIClient:
        return with_key("notifications:send", "notifications:read")

    @pytest.fixture
    def sent(self, sender: APIClient, template: Any, user: User) -> str:
        body = {
            "template_path": "test.hello",
            "user_id": user.pk,
            "channels": ["in_app", "email"],
            "context": {"amount": 5},
        }
        answer = sender.post("/api/v1/notifications/send", body, format="json")
        deliver()
        return str(answer.json()["id"])

    def test_a_retracted_one_leaves_the_inbox(
        self, sender: APIClient, sent: str, user: User
    ) -> None:
        assert InboxCounter.objects.get(user_id=user.pk).unread == 1
        done = sender.delete(f"/api/v1/notifications/{sent}")
        assert done.status_code == 200
        assert "in_app" in done.json()["recalled"]
        counter = InboxCounter.objects.get(user_id=user.pk)
        assert (counter.unread, counter.seq) == (0, 2)
        row = InboxArrival.objects.get()
        assert row.retracted_at is not None
        assert row.content is None
        assert inbox_of(user) == []

    def test_an_amended_one_shows_the_new_text(
        self, sender: APIClient, sent: str, user: User
    ) -> None:
        path = f"/api/v1/notifications/{sent}"
        assert sender.patch(path, {"body": "39.99"}, format="json").status_code == 200
        (item,) = inbox_of(user)
        assert (item["title"], item["body"]) == ("Hello", "39.99")

    def test_another_key_reaches_neither(self, with_key: KeyClient, sent: str, user: User) -> None:
        other = with_key("notifications:send", "notifications:read")
        path = f"/api/v1/notifications/{sent}"
        assert other.delete(path).status_code == 404
        assert other.patch(path, {"body": "x"}, format="json").status_code == 404
        assert len(inbox_of(user)) == 1

    def test_what_no_inbox_shows_cannot_be_amended(self, sender: APIClient, sent: str) -> None:
        path = f"/api/v1/notifications/{sent}"
        sender.delete(path)
        refused = sender.patch(path, {"body": "x"}, format="json")
        assert (refused.status_code, refused.json()["code"]) == (409, "not_in_inbox")

    @pytest.mark.parametrize(
        "body", [{}, {"title": 5}, {"body": "x", "scheduled_at": "2030-01-01"}]
    )
    def test_a_wrong_change_is_refused(
        self, sender: APIClient, sent: str, body: dict[str, Any]
    ) -> None:
        path = f"/api/v1/notifications/{sent}"
        assert sender.patch(path, body, format="json").status_code == 400


def inbox_of(user: User) -> list[dict[str, Any]]:
    from notifications.features.inbox.reading import read_page
    from notifications.features.inbox.service import item_of

    found = read_page(user.pk).events
    return [{"title": each.title, "body": each.body} for each in map(item_of, found)]  # type: ignore[arg-type]
