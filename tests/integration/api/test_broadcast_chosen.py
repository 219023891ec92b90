"""Trying chosen recipients of a broadcast again, by the law of trying all of them again."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from directory.models import User
from notifications.domain.lifecycle import MessageStatus as S
from notifications.features.broadcasts.delivery.retry import retry_chosen
from notifications.models import Broadcast, BroadcastRecipient, NotificationMessage, OperatorAction
from tests.integration.broadcasts.factories import (
    launch,
    maintain,
    make_broadcast,
    make_people,
    settle_messages,
    states,
)
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
URL = "/api/admin/broadcasts"


@pytest.fixture
def staff(db: None) -> User:
    """An admin, and no student: no broadcast to students reaches them."""
    return make_user(is_staff=True, role="admin")


@pytest.fixture
def people() -> list[int]:
    return make_people(6)


@pytest.fixture
def made(people: list[int]) -> Broadcast:
    """Four failed, one was sent it, one waits."""
    made = launch(make_broadcast(channels=["email"]))
    settle_messages(made, S.FAILED, people[:4], error="mailbox full")
    settle_messages(made, S.SENT, people[4:5])
    return maintain(made)


def retry(client: APIClient, made: Broadcast, ids: Any, **more: Any) -> Any:
    return client.post(f"{URL}/{made.pk}/recipients/retry/", {"user_ids": ids}, **more)


def test_only_they_wait_again(as_staff: APIClient, made: Broadcast, people: list[int]) -> None:
    answer = retry(as_staff, made, [people[1], people[0], people[1]])

    assert answer.status_code == 200
    reported = answer.data["data"]
    assert reported["message"] == "Sending again was started for 2 recipients"
    assert (reported["retried_count"], reported["broadcast_id"]) == (2, made.pk)
    assert (reported["unknown"], reported["not_failed"], reported["used_up"]) == ([], [], [])
    assert states(maintain(made)) == {"pending": 3, "failed": 2, "sent": 1}
    assert (made.tally.failed, made.error_reasons) == (2, {"mailbox full": 2})
    waiting = NotificationMessage.objects.filter(status="pending", user_id__in=people[:4])
    assert set(waiting.values_list("user_id", flat=True)) == set(people[:2])
    retries = dict(BroadcastRecipient.objects.values_list("recipient_id", "retries"))
    assert [retries[person] for person in people] == [1, 1, 0, 0, 0, 0]
    assert OperatorAction.objects.get(action="broadcast.retry").reason == "2 of 3 chosen"


def test_who_is_not_tried_is_named(as_staff: APIClient, made: Broadcast, people: list[int]) -> None:
    BroadcastRecipient.objects.filter(recipient_id=people[3]).update(retries=3)
    stranger = make_people(1)[0]

    reported = retry(as_staff, made, [stranger, *reversed(people), 1 << 62]).data["data"]

    assert reported["retried_count"] == 3
    assert reported["unknown"] == [stranger, 1 << 62]
    assert reported["not_failed"] == [people[5], people[4]]
    assert reported["used_up"] == [people[3]]


@pytest.mark.parametrize("path", ["retry", "recipients/retry"])
def test_no_retry_is_without_its_record(
    path: str, as_staff: APIClient, made: Broadcast, people: list[int], monkeypatch: Any
) -> None:
    """The process dies between the two: neither is there."""

    def dies(*_: Any, **__: Any) -> None:
        raise RuntimeError("died")

    monkeypatch.setattr("notifications.features.broadcasts.service.write_audit_entry", dies)
    with pytest.raises(RuntimeError, match="died"):
        as_staff.post(f"{URL}/{made.pk}/{path}/", {"user_ids": people[:1]} if "/" in path else None)

    assert states(made)["failed"] == 4


def test_of_two_calls_one_finds_them(as_staff: APIClient, made: Broadcast, people: list[int]):
    first, second = (retry(as_staff, made, people[:1]).data["data"] for _ in range(2))

    assert (first["retried_count"], second["retried_count"]) == (1, 0)
    assert (second["not_failed"], second["task_id"]) == (people[:1], None)


@pytest.mark.parametrize("status", ["paused", "cancelled", "draft"])
def test_what_the_status_does_not_allow_is_refused(
    status: str, as_staff: APIClient, made: Broadcast, people: list[int]
) -> None:
    Broadcast.objects.filter(pk=made.pk).update(status=status)

    answer = retry(as_staff, made, people[:1])
    unfailed = retry(as_staff, made, people[4:])

    assert (answer.status_code, answer.data["code"]) == (400, "broadcast_status")
    assert answer.data["error"] == f"Cannot retry broadcast with status {status}"
    assert (unfailed.status_code, unfailed.data["data"]["retried_count"]) == (200, 0)
    assert states(made)["failed"] == 4


@pytest.mark.parametrize(
    "ids", [[], [0], ["7"], [True], 7, None, list(range(1, 1_002))], ids=lambda ids: str(ids)[:9]
)
def test_what_are_no_ids_is_reported(ids: Any, as_staff: APIClient) -> None:
    answer = retry(as_staff, make_broadcast(), ids)

    assert (answer.status_code, answer.data["code"]) == (400, "wrong_type")
    assert "user_ids" in answer.data["error"]


def test_a_thousand_are_taken_in_a_call(as_staff: APIClient) -> None:
    answer = retry(as_staff, make_broadcast(), list(range(1, 1_001)))

    assert (answer.status_code, len(answer.data["data"]["unknown"])) == (200, 1_000)


def test_an_unknown_broadcast_and_field(as_staff: APIClient) -> None:
    missing = as_staff.post(f"{URL}/99999/recipients/retry/", {"user_ids": [1]})
    more = as_staff.post(
        f"{URL}/{make_broadcast().pk}/recipients/retry/", {"user_ids": [1], "all": True}
    )

    assert (missing.status_code, missing.data["code"]) == (404, "unknown_broadcast")
    assert (more.status_code, more.data["code"]) == (400, "unknown_field")


def test_the_answer_is_russian_where_that_is_spoken(
    as_staff: APIClient, made: Broadcast, people: list[int]
) -> None:
    reported = retry(as_staff, made, people[:1], HTTP_ACCEPT_LANGUAGE="ru").data["data"]

    assert reported["message"] == "Повторная отправка запущена для 1 получателя"


def test_a_hand_made_broadcast_is_counted_anew(frozen: Any) -> None:
    made = make_broadcast(status="sending", recipient_count=2, failed_count=2)
    first, second = make_people(2)
    for person in (first, second):
        BroadcastRecipient.objects.create(broadcast=made, recipient_id=person, telegram_error="no")

    assert retry_chosen(made.pk, [second], now=frozen.now).retried == 1

    made.refresh_from_db()
    assert (made.failed_count, states(made)) == (1, {"failed": 1, "pending": 1})
