"""The three endpoints of schedules: responses, errors and permissions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from directory.models import User
from notifications.models import (
    DeliveryBatch,
    Job,
    Notification,
    NotificationMessage,
    ScheduledStatus,
)
from tests.integration.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]
SCHEDULE = "/api/notifications/schedule/"
TIME = datetime(2030, 5, 2, 10, 0, tzinfo=UTC)


def body(*people: User, **changes: Any) -> dict[str, Any]:
    return {
        "recipients": [person.pk for person in people],
        "title": "Meeting",
        "message": "In 30 minutes",
        "scheduled_at": "2030-05-02T10:00:00Z",
        **changes,
    }


def scheduled(client: APIClient, *people: User, **changes: Any) -> list[int]:
    response = client.post(SCHEDULE, body(*people, **changes))
    assert response.status_code == 201, response.content
    ids: list[int] = response.data["notification_ids"]
    return ids


def test_each_recipient_gets_a_notification_that_waits(as_staff: APIClient) -> None:
    people = [make_user() for _ in range(3)]

    response = as_staff.post(SCHEDULE, body(*people, data={"seat": 5}, type="payment"))

    assert response.status_code == 201
    assert response.json() == {
        "notification_ids": response.data["notification_ids"],
        "count": 3,
        "scheduled_at": "2030-05-02T10:00:00Z",
    }
    rows = [Notification.objects.get(pk=key) for key in response.data["notification_ids"]]
    assert [row.recipient for row in rows] == people
    assert {row.scheduled_status for row in rows} == {"pending"}
    assert {row.scheduled_at for row in rows} == {TIME}
    assert {(row.type, row.category.key, row.priority) for row in rows} == {
        ("payment", "payment", 3)
    }
    assert DeliveryBatch.objects.get().due_at == TIME
    assert Job.objects.get().context == {
        "title": "Meeting",
        "message": "In 30 minutes",
        "data": {"seat": 5},
    }


def test_a_type_that_is_no_category_is_stored_as_text(as_staff: APIClient, user: User) -> None:
    (key,) = scheduled(as_staff, user, type="homework_due", priority="high")

    found = Notification.objects.get(pk=key)
    assert (found.type, found.category.key, found.priority) == ("homework_due", "system", 2)


def test_recipients_given_by_id_and_uuid_get_one_notification(
    as_staff: APIClient, user: User
) -> None:
    both = [user.pk, str(user.uuid), user.pk]

    assert len(scheduled(as_staff, user, recipients=both)) == 1


def test_unknown_ids_are_reported_and_the_others_are_scheduled(
    as_staff: APIClient, user: User
) -> None:
    response = as_staff.post(SCHEDULE, body(user, recipients=[987654, user.pk]))

    assert response.status_code == 201
    assert response.data["count"] == 1
    assert response.data["unknown"] == ["987654"]
    assert Notification.objects.get().user_id == user.pk


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"scheduled_at": "2030-05-01T11:59:59Z"}, "in_the_past"),
        ({"scheduled_at": "2030-05-01T12:00:00Z"}, "in_the_past"),
        ({"scheduled_at": "tomorrow"}, "invalid_time"),
        ({"scheduled_at": None}, "required"),
        ({"recipients": []}, "invalid"),
        ({"recipients": None}, "required"),
        ({"recipients": [987654]}, "unknown_user"),
        ({"recipients": [True]}, "invalid_user"),
        ({"recipients": ["x"]}, "invalid_user"),
        ({"recipients": list(range(1, 10_002))}, "too_many_recipients"),
        ({"title": ""}, "invalid"),
        ({"message": None}, "required"),
        ({"priority": "soon"}, "invalid_priority"),
        ({"channels": ["pigeon"]}, "invalid_channel"),
        ({"data": []}, "wrong_type"),
        ({"when": 5}, "unknown_field"),
        ({"title": None, "message": None}, "invalid_request"),
    ],
)
def test_a_wrong_schedule_is_refused(
    as_staff: APIClient, user: User, change: dict[str, Any], code: str
) -> None:
    response = as_staff.post(SCHEDULE, body(user, **change))

    assert response.status_code == 400
    assert response.data["success"] is False
    assert response.data["code"] == code
    assert response.data["error"]
    assert not Notification.objects.exists()


def test_a_person_schedules_for_themselves_only(as_user: APIClient, user: User) -> None:
    other = make_user()

    assert len(scheduled(as_user, user)) == 1
    for recipients in ([other.pk], [user.pk, other.pk], [987654]):
        response = as_user.post(SCHEDULE, body(user, recipients=recipients))
        assert (response.status_code, response.data["code"]) == (403, "missing_scope")


def test_the_status_has_the_documented_fields(as_user: APIClient, user: User) -> None:
    (key,) = scheduled(as_user, user)

    response = as_user.get(f"/api/notifications/{key}/schedule_status/")

    assert response.status_code == 200
    assert response.json() == {
        "id": key,
        "title": "Meeting",
        "scheduled_at": "2030-05-02T10:00:00Z",
        "scheduled_status": "pending",
        "is_sent": False,
        "sent_at": None,
        "created_at": "2030-05-01T12:00:00Z",
    }


@pytest.mark.parametrize("address", ["cancel_scheduled", "scheduled"])
def test_a_pending_notification_is_cancelled(as_user: APIClient, user: User, address: str) -> None:
    (key,) = scheduled(as_user, user, channels=["in_app", "email"])

    response = as_user.delete(f"/api/notifications/{key}/{address}/")

    assert response.status_code == 200
    assert response.json() == {
        "success": True,
        "message": "Scheduled notification cancelled",
        "id": key,
        "scheduled_status": "cancelled",
    }
    found = Notification.objects.get(pk=key)
    assert found.scheduled_status == "cancelled"
    assert found.cancelled_at == datetime(2030, 5, 1, 12, 0, tzinfo=UTC)
    assert set(NotificationMessage.objects.values_list("status", flat=True)) == {"cancelled"}


@pytest.mark.parametrize("state", [ScheduledStatus.SENT, ScheduledStatus.CANCELLED])
def test_a_notification_that_is_not_pending_is_not_cancelled(
    as_user: APIClient, user: User, state: ScheduledStatus
) -> None:
    (key,) = scheduled(as_user, user)
    Notification.objects.update(scheduled_status=state)

    response = as_user.delete(f"/api/notifications/{key}/cancel_scheduled/")

    assert response.status_code == 400
    assert response.json() == {
        "success": False,
        "error": f"Cannot cancel notification with status {state.value}",
        "code": "not_pending",
    }


def test_a_notification_in_flight_is_not_cancelled(as_user: APIClient, user: User) -> None:
    (key,) = scheduled(as_user, user)
    DeliveryBatch.objects.update(journal=str(key))

    response = as_user.delete(f"/api/notifications/{key}/cancel_scheduled/")

    assert (response.status_code, response.data["code"]) == (400, "already_sending")
    assert Notification.objects.get().scheduled_status == "pending"


def test_only_staff_reaches_the_schedules_of_others(
    as_user: APIClient, as_staff: APIClient, with_key: Any
) -> None:
    (key,) = scheduled(as_staff, make_user())

    for call, path in (
        (as_user.get, f"/api/notifications/{key}/schedule_status/"),
        (as_user.delete, f"/api/notifications/{key}/cancel_scheduled/"),
        (as_user.delete, f"/api/notifications/{key}/scheduled/"),
    ):
        response = call(path)
        assert (response.status_code, response.data["code"]) == (404, "unknown_notification")
    stranger = with_key("notifications:send")
    assert stranger.delete(f"/api/notifications/{key}/scheduled/").status_code == 404
    assert as_staff.get(f"/api/notifications/{key}/schedule_status/").status_code == 200
    assert as_staff.delete(f"/api/notifications/{key}/scheduled/").status_code == 200


def test_a_service_cancels_what_it_scheduled(with_key: Any) -> None:
    service = with_key("notifications:send")
    (key,) = scheduled(service, make_user())

    assert service.delete(f"/api/notifications/{key}/scheduled/").status_code == 200


def test_a_notification_that_was_not_scheduled_has_no_schedule(
    as_staff: APIClient, user: User
) -> None:
    (key,) = scheduled(as_staff, user)
    Notification.objects.update(scheduled_status=None)

    response = as_staff.get(f"/api/notifications/{key}/schedule_status/")

    assert (response.status_code, response.data["code"]) == (404, "unknown_notification")


def test_a_repeated_call_with_a_key_schedules_once(as_user: APIClient, user: User) -> None:
    first = as_user.post(SCHEDULE, body(user), HTTP_IDEMPOTENCY_KEY="k")
    again = as_user.post(SCHEDULE, body(user), HTTP_IDEMPOTENCY_KEY="k")

    assert first.json() == again.json()
    assert Notification.objects.count() == 1


def test_ten_thousand_recipients_need_few_statements(
    as_staff: APIClient, django_assert_max_num_queries: Any
) -> None:
    User.objects.bulk_create(User(username=f"many{n}") for n in range(2_000))
    everyone = list(User.objects.values_list("pk", flat=True))

    with django_assert_max_num_queries(60):
        response = as_staff.post(SCHEDULE, body(recipients=everyone))

    assert response.data["count"] == len(everyone)
    assert DeliveryBatch.objects.count() == -(-len(everyone) // 500)


def test_a_time_with_another_offset_is_the_same_instant(as_user: APIClient, user: User) -> None:
    response = as_user.post(SCHEDULE, body(user, scheduled_at="2030-05-02T12:00:00+02:00"))

    assert datetime.fromisoformat(response.json()["scheduled_at"]) == TIME
    assert Notification.objects.get().scheduled_at - TIME == timedelta(0)
