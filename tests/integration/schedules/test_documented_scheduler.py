"""The documented tests and scenarios of scheduling, under their documented names."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from directory.models import User
from notifications.features.upkeep.rounds import ScheduleRounds
from notifications.infra import clock
from notifications.models import (
    DeadLetter,
    Notification,
    NotificationMessage,
)
from notifications.scheduler import NotificationScheduler
from notifications.tasks import (
    cleanup_cancelled_notifications,
    process_scheduled_notifications,
    retry_failed_notifications,
    send_notification_task,
)
from tests.integration.factories import make_user
from tests.integration.preferences.conftest import work

pytestmark = pytest.mark.django_db
SCHEDULE = "/api/notifications/schedule/"


def in_an_hour() -> Any:
    return clock.now() + timedelta(hours=1)


def scheduled(*people: User, **more: Any) -> list[int]:
    ids = [person.pk for person in people or (make_user(),)]
    return NotificationScheduler().schedule_notification(
        ids, "Meeting", "In 30 minutes", in_an_hour(), **more
    )


def status_of(key: int) -> str:
    return str(Notification.objects.get(pk=key).scheduled_status)


class TestNotificationScheduler:
    def test_schedule_notification_single_recipient(self, frozen, user):
        ids = NotificationScheduler().schedule_notification(
            [user.pk], "Title", "Message", in_an_hour(), "system", "high", {"key": "value"}
        )

        found = Notification.objects.get(pk=ids[0])
        assert found.recipient == user
        assert found.scheduled_status == "pending"
        assert found.scheduled_at == in_an_hour()
        assert (found.type, found.priority) == ("system", 2)

    def test_schedule_notification_multiple_recipients(self, frozen):
        people = [make_user() for _ in range(3)]

        ids = scheduled(*people)

        assert len(ids) == 3
        assert [Notification.objects.get(pk=key).recipient for key in ids] == people

    def test_schedule_notification_past_date_raises_error(self, frozen, user):
        with pytest.raises(ValueError, match="must lie in the future"):
            NotificationScheduler().schedule_notification(
                [user.pk], "Title", "Message", clock.now() - timedelta(hours=1)
            )
        assert not Notification.objects.exists()

    def test_schedule_notification_empty_recipients_raises_error(self, frozen):
        with pytest.raises(ValueError, match="at least one recipient"):
            NotificationScheduler().schedule_notification([], "Title", "Message", in_an_hour())

    def test_cancel_pending_notification(self, frozen):
        (key,) = scheduled()

        result = NotificationScheduler().cancel_scheduled(key)

        assert result
        assert result == {
            "success": True,
            "message": "Scheduled notification cancelled",
            "id": key,
            "scheduled_status": "cancelled",
        }
        assert status_of(key) == "cancelled"

    def test_cannot_cancel_already_sent(self, frozen):
        (key,) = scheduled()
        Notification.objects.filter(pk=key).update(scheduled_status="sent")

        result = NotificationScheduler().cancel_scheduled(key)

        assert not result
        assert result["scheduled_status"] == "sent"
        assert result["message"] == "Cannot cancel notification with status sent"
        assert status_of(key) == "sent"

    def test_get_pending_notifications(self, frozen):
        first, second = scheduled(make_user(), make_user())
        (later,) = scheduled()
        Notification.objects.filter(pk=later).update(scheduled_at=in_an_hour() + timedelta(1))
        assert NotificationScheduler().get_pending_notifications() == []

        frozen.forward(3600)
        due = NotificationScheduler().get_pending_notifications()

        assert [each.pk for each in due] == [first, second]
        assert len(NotificationScheduler().get_pending_notifications(limit=1)) == 1

    def test_send_scheduled_notification(self, frozen):
        (key,) = scheduled()
        frozen.forward(3600)

        assert NotificationScheduler().send_scheduled_notification(key) is True

        assert status_of(key) == "sent"
        assert NotificationMessage.objects.get().status == "delivered"
        assert NotificationScheduler().send_scheduled_notification(key) is False

    def test_cannot_send_cancelled_notification(self, frozen):
        (key,) = scheduled()
        NotificationScheduler().cancel_scheduled(key)

        assert NotificationScheduler().send_scheduled_notification(key) is False
        assert status_of(key) == "cancelled"

    def test_get_schedule_status(self, frozen):
        (key,) = scheduled()

        assert NotificationScheduler().get_schedule_status(key) == {
            "id": key,
            "title": "Meeting",
            "scheduled_at": in_an_hour(),
            "scheduled_status": "pending",
            "is_sent": False,
            "sent_at": None,
            "created_at": clock.now(),
        }
        assert NotificationScheduler().get_schedule_status(987654321) is None

    def test_retry_failed_notification(self, frozen):
        (key,) = scheduled()
        frozen.forward(7200)

        assert NotificationScheduler().retry_failed(key, delay_minutes=15) is True

        found = Notification.objects.get(pk=key)
        assert found.scheduled_at == clock.now() + timedelta(minutes=15)
        assert found.scheduled_status == "pending"
        assert work() == 1  # its old batch does not contain it any more
        assert status_of(key) == "pending"
        frozen.forward(15 * 60)
        work()
        assert status_of(key) == "sent"

    def test_cannot_retry_sent_notification(self, frozen):
        (key,) = scheduled()
        NotificationScheduler().send_scheduled_notification(key)

        assert NotificationScheduler().retry_failed(key, delay_minutes=5) is False
        assert status_of(key) == "sent"


class TestSchedulingAPI:
    def test_schedule_notification_endpoint(self, as_staff: APIClient):
        people = [make_user() for _ in range(3)]
        at = in_an_hour().isoformat()

        response = as_staff.post(
            SCHEDULE,
            {
                "recipients": [person.pk for person in people],
                "title": "Title",
                "message": "Message",
                "scheduled_at": at,
                "type": "system",
                "priority": "normal",
                "data": {},
            },
        )

        assert response.status_code == 201
        assert response.data["count"] == 3
        assert len(response.data["notification_ids"]) == 3
        assert set(response.data) == {"notification_ids", "count", "scheduled_at"}

    def test_cancel_scheduled_endpoint(self, as_user: APIClient, user: User):
        (key,) = scheduled(user)

        response = as_user.delete(f"/api/notifications/{key}/cancel_scheduled/")

        assert response.status_code == 200
        assert response.data["scheduled_status"] == "cancelled"
        assert status_of(key) == "cancelled"

    def test_schedule_status_endpoint(self, as_user: APIClient, user: User):
        (key,) = scheduled(user)

        response = as_user.get(f"/api/notifications/{key}/schedule_status/")

        assert response.status_code == 200
        assert (response.data["id"], response.data["scheduled_status"]) == (key, "pending")
        assert response.data["is_sent"] is False


class TestScenarios:
    def test_scheduled_notifications_sent_at_correct_time(self, frozen):
        (key,) = scheduled()

        frozen.forward(3599.999)
        assert (work(), status_of(key)) == (0, "pending")
        frozen.forward(0.001)
        assert (work(), status_of(key)) == (1, "sent")
        assert NotificationScheduler().get_schedule_status(key)["sent_at"] == clock.now()

    def test_cancellation_prevents_send(self, frozen):
        (key,) = scheduled()
        NotificationScheduler().cancel_scheduled(key)

        frozen.forward(3600)
        work()

        assert status_of(key) == "cancelled"
        assert NotificationMessage.objects.get().status == "cancelled"

    def test_unknown_users_are_skipped(self, frozen, user):
        assert (
            len(
                NotificationScheduler().schedule_notification(
                    [987654321, user], "Title", "Message", in_an_hour()
                )
            )
            == 1
        )

    def test_process_scheduled_notifications(self, frozen):
        scheduled()
        assert process_scheduled_notifications() == {"occurrences_made": 0, "lanes_woken": 0}

        frozen.forward(3600)

        assert process_scheduled_notifications() == {"occurrences_made": 0, "lanes_woken": 1}

    def test_send_notification_task(self, frozen):
        (key,) = scheduled()

        assert send_notification_task(key) == {
            "success": True,
            "notification_id": key,
            "scheduled_status": "sent",
        }
        assert send_notification_task(key)["success"] is False
        assert send_notification_task(987654321)["scheduled_status"] is None
        assert send_notification_task.max_retries == 3

    def test_cleanup_cancelled_notifications(self, frozen):
        sent, gone = scheduled(make_user(), make_user())
        NotificationScheduler().send_scheduled_notification(sent)
        NotificationScheduler().cancel_scheduled(gone)

        frozen.forward(30 * 86_400)
        assert cleanup_cancelled_notifications() == {"deleted": 0}
        frozen.forward(1)

        assert cleanup_cancelled_notifications() == {"deleted": 1}
        assert list(Notification.objects.values_list("pk", flat=True)) == [sent]
        assert NotificationMessage.objects.count() == 1

    def test_a_notification_left_in_no_batch_by_a_crash_is_queued_again(self, frozen):
        (key,) = scheduled()
        NotificationMessage.objects.update(batch_id=None)
        frozen.forward(3600 + 299)
        assert retry_failed_notifications() == {"rescheduled": 0, "settled": 0}

        frozen.forward(2)
        assert retry_failed_notifications() == {"rescheduled": 1, "settled": 0}

        assert Notification.objects.get().scheduled_at == clock.now() + timedelta(minutes=10)
        assert retry_failed_notifications() == {"rescheduled": 0, "settled": 0}
        frozen.forward(600)
        work()
        assert status_of(key) == "sent"

    def test_a_notification_in_an_existing_batch_is_not_changed(self, frozen):
        scheduled()
        frozen.forward(7200)

        assert retry_failed_notifications() == {"rescheduled": 0, "settled": 0}

    def test_a_run_fixes_a_hundred_notifications(self, frozen):
        scheduled(*(make_user() for _ in range(101)))
        NotificationMessage.objects.update(batch_id=None)
        frozen.forward(7200)

        assert retry_failed_notifications()["rescheduled"] == 100
        assert retry_failed_notifications()["rescheduled"] == 1

    def test_the_round_of_the_schedule_fixes_all_notifications(self, frozen):
        scheduled(*(make_user() for _ in range(201)))
        NotificationMessage.objects.update(batch_id=None)
        frozen.forward(7200)

        ScheduleRounds().retry.run_if_due(frozen.now)

        assert not NotificationMessage.objects.filter(batch_id=None).exists()

    @pytest.mark.parametrize(
        ("message", "shown"),
        [("failed", "failed"), ("suppressed", "withheld"), ("expired", "withheld")],
    )
    def test_the_status_of_its_messages_is_shown_and_stored(self, frozen, message, shown):
        (key,) = scheduled()
        NotificationMessage.objects.update(status=message)
        frozen.forward(7200)
        assert NotificationScheduler().get_schedule_status(key)["scheduled_status"] == shown

        assert retry_failed_notifications() == {"rescheduled": 0, "settled": 1}

        assert status_of(key) == shown
        assert not NotificationScheduler().cancel_scheduled(key)

    def test_an_uncertain_notification_is_left_to_a_person(self, frozen):
        (key,) = scheduled()
        NotificationMessage.objects.update(status="uncertain")
        frozen.forward(7200)

        assert retry_failed_notifications() == {"rescheduled": 0, "settled": 0}
        assert status_of(key) == "pending"

    def test_a_notification_that_failed_for_good_can_be_retried(self, frozen):
        (key,) = scheduled()
        NotificationMessage.objects.update(status="failed", attempts=4)
        DeadLetter.objects.create(
            message_id=key, notification_id=key, channel="in_app", code="x", failed_at=clock.now()
        )
        frozen.forward(7200)

        assert NotificationScheduler().retry_failed(key) is True

        assert DeadLetter.objects.get().resolution == "replayed"
        frozen.forward(600)
        work()
        assert status_of(key) == "sent"

    def test_a_notification_in_flight_is_not_rescheduled(self, frozen):
        from notifications.queue import batches

        (key,) = scheduled()
        frozen.forward(3600)
        batches.lease(owner="w", lane="default", seconds=60)

        assert NotificationScheduler().retry_failed(key) is False
        assert NotificationScheduler().send_scheduled_notification(key) is False
