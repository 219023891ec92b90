"""The documented scenarios (T_NOTIF_005) for the Python class BroadcastService.

Those of the REST API are in tests/integration/api.
"""

from __future__ import annotations

import pytest
from django.utils.translation import override

from notifications.features.broadcasts.documented import retry_message
from notifications.infra import clock
from notifications.models import Broadcast, BroadcastRecipient
from notifications.services.broadcast import (
    BroadcastService,
    process_scheduled_broadcasts,
    send_broadcast_async,
)
from tests.integration.broadcasts.factories import make_broadcast, make_people, states

pytestmark = pytest.mark.django_db


def broadcast_with(sent: int = 0, failed: int = 0, pending: int = 0, **values: object) -> Broadcast:
    """Creates a broadcast whose rows and counters are written directly."""
    values.setdefault("status", "sending")
    made = make_broadcast(
        target_group="all_students",
        recipient_count=sent + failed + pending,
        sent_count=sent,
        failed_count=failed,
        **values,
    )
    people = make_people(sent + failed + pending)
    for place, person in enumerate(people):
        BroadcastRecipient.objects.create(
            broadcast=made,
            recipient_id=person,
            telegram_sent=place < sent,
            telegram_error="Network timeout" if sent <= place < sent + failed else None,
        )
    return made


class TestBroadcastProgress:
    def test_get_progress_returns_correct_stats(self):
        made = broadcast_with(sent=5, failed=2, pending=3)
        progress = BroadcastService.get_progress(made.id)
        assert progress["id"] == made.id
        assert progress["status"] == "sending"
        assert progress["total_recipients"] == 10
        assert progress["sent_count"] == 5
        assert progress["failed_count"] == 2
        assert progress["pending_count"] == 3
        assert progress["progress_pct"] == 70
        assert progress["error_summary"] == "2 failed: Network timeout"
        assert progress["completed_at"] is None

    def test_get_progress_not_found(self):
        with pytest.raises(ValueError, match=r"^Broadcast 99999 not found$"):
            BroadcastService.get_progress(broadcast_id=99999)

    @pytest.mark.parametrize(
        ("sent", "failed", "total", "percent"),
        [(450, 40, 500, 98), (1, 0, 3, 33), (2, 0, 3, 66), (0, 0, 7, 0), (0, 7, 7, 100)],
    )
    def test_progress_percentage_calculation(self, sent, failed, total, percent):
        made = make_broadcast(
            status="sending", recipient_count=total, sent_count=sent, failed_count=failed
        )
        assert BroadcastService.get_progress(made.id)["progress_pct"] == percent

    def test_progress_with_zero_recipients(self):
        progress = BroadcastService.get_progress(make_broadcast().id)
        assert (progress["total_recipients"], progress["progress_pct"]) == (0, 0)
        assert (progress["pending_count"], progress["error_summary"]) == (0, "")

    def test_progress_all_sent(self):
        made = broadcast_with(sent=4, status="completed")
        progress = BroadcastService.get_progress(made.id)
        assert (progress["progress_pct"], progress["pending_count"]) == (100, 0)


class TestBroadcastCancellation:
    def test_cancel_broadcast_success(self, frozen):
        made = broadcast_with(sent=1, pending=2)
        result = BroadcastService.cancel_broadcast(made.id)
        assert result == {
            "success": True,
            "message": "The broadcast was cancelled",
            "broadcast_id": made.id,
            "cancelled_at": frozen.now,
        }
        made.refresh_from_db()
        assert (made.status, made.completed_at) == ("cancelled", frozen.now)

    def test_cancel_non_existent_broadcast(self):
        with pytest.raises(ValueError, match=r"^Broadcast 99999 not found$"):
            BroadcastService.cancel_broadcast(99999)

    def refused(self, status: str) -> None:
        made = make_broadcast(status=status)
        with pytest.raises(ValueError, match=f"^Cannot cancel broadcast with status {status}$"):
            BroadcastService.cancel_broadcast(made.id)
        made.refresh_from_db()
        assert made.status == status

    def test_cannot_cancel_already_sent_broadcast(self):
        self.refused("sent")

    def test_cannot_cancel_completed_broadcast(self):
        self.refused("completed")

    def test_cannot_cancel_already_cancelled_broadcast(self):
        self.refused("cancelled")

    def test_can_cancel_draft_broadcast(self):
        made = make_broadcast()
        assert BroadcastService.cancel_broadcast(made.id)["success"]
        made.refresh_from_db()
        assert made.status == "cancelled"

    def test_the_message_is_also_in_russian(self):
        with override("ru"):
            result = BroadcastService.cancel_broadcast(make_broadcast().id)
        assert result["message"] == "Рассылка успешно отменена"


class TestBroadcastRetry:
    def test_retry_failed_recipients(self):
        made = broadcast_with(sent=2, failed=3, status="sent")
        result = BroadcastService.retry_failed(made.id)
        assert (result["success"], result["retried_count"]) == (True, 3)
        assert result["broadcast_id"] == made.id
        assert result["message"] == "Sending again was started for 3 recipients"
        assert result["task_id"]
        assert states(made) == {"sent": 2, "pending": 3}

    def test_rows_of_bulk_create_are_retried_too(self):
        made = make_broadcast(status="sent", recipient_count=2)
        BroadcastRecipient.objects.bulk_create(
            BroadcastRecipient(
                broadcast=made, recipient_id=person, telegram_error="Network timeout"
            )
            for person in make_people(2)
        )
        assert BroadcastService.get_progress(made.id)["failed_count"] == 2
        assert BroadcastService.retry_failed(made.id)["retried_count"] == 2

    def test_retry_no_failed_recipients(self):
        made = broadcast_with(sent=2, status="completed")
        result = BroadcastService.retry_failed(made.id)
        assert (result["success"], result["retried_count"], result["task_id"]) == (True, 0, None)
        made.refresh_from_db()
        assert made.status == "completed"

    @pytest.mark.parametrize(
        ("count", "text"),
        [
            (1, "Повторная отправка запущена для 1 получателя"),
            (40, "Повторная отправка запущена для 40 получателей"),
        ],
    )
    def test_the_message_is_also_in_russian(self, count, text):
        with override("ru"):
            assert retry_message(count) == text

    def test_retry_non_existent_broadcast(self):
        with pytest.raises(ValueError, match=r"^Broadcast 99999 not found$"):
            BroadcastService.retry_failed(99999)

    def test_retry_updates_broadcast_status(self):
        made = broadcast_with(failed=2, status="failed")
        BroadcastService.retry_failed(made.id, 3)
        made.refresh_from_db()
        assert (made.status, made.failed_count, made.completed_at) == ("sending", 0, None)

    def test_retry_of_a_cancelled_broadcast_is_refused(self):
        made = broadcast_with(failed=2, status="cancelled")
        with pytest.raises(ValueError, match=r"^Cannot retry broadcast with status cancelled$"):
            BroadcastService.retry_failed(made.id)


class TestBroadcastUpdateProgress:
    def by_hand(self) -> Broadcast:
        return make_broadcast(status="sending", recipient_count=10)

    def test_update_progress_success(self):
        made = self.by_hand()
        assert BroadcastService.update_progress(made.id, 4, 1) is None
        made.refresh_from_db()
        assert (made.sent_count, made.failed_count, made.status) == (4, 1, "sending")

    def test_update_progress_to_completed(self, frozen):
        made = self.by_hand()
        BroadcastService.update_progress(made.id, sent_count=8, failed_count=2)
        made.refresh_from_db()
        assert (made.status, made.completed_at) == ("completed", frozen.now)

    def test_update_progress_to_failed_when_all_fail(self):
        made = self.by_hand()
        BroadcastService.update_progress(made.id, 0, 10)
        made.refresh_from_db()
        assert made.status == "failed"

    def test_update_progress_non_existent_broadcast(self):
        assert BroadcastService.update_progress(99999, 1, 1) is None

    def test_update_progress_stays_sending_if_not_complete(self):
        made = self.by_hand()
        BroadcastService.update_progress(made.id, 5, 0)
        made.refresh_from_db()
        assert (made.status, made.completed_at) == ("sending", None)

    def test_update_progress_leaves_a_broadcast_with_rows_unchanged(self):
        made = broadcast_with(sent=1, pending=1)
        BroadcastService.update_progress(made.id, 2, 0)
        made.refresh_from_db()
        assert (made.sent_count, made.status) == (1, "sending")


class TestTasks:
    def test_send_broadcast_async_launches_a_draft(self):
        make_people(3)
        made = make_broadcast()
        task = send_broadcast_async.delay(broadcast_id=made.id)
        assert task.id
        result = task.get()
        assert (result["success"], result["status"]) == (True, "sending")
        assert (result["total_recipients"], result["pending_count"]) == (3, 3)

    def test_send_broadcast_async_checks_cancellation_first(self):
        make_people(1)
        made = make_broadcast(status="cancelled")
        result = send_broadcast_async(made.id)
        assert (result["success"], result["status"]) == (False, "cancelled")
        assert not BroadcastRecipient.objects.exists()

    def test_send_broadcast_async_of_nothing(self):
        with pytest.raises(ValueError, match="Broadcast 99999 not found"):
            send_broadcast_async(99999)

    def test_process_scheduled_broadcasts_begins_due_broadcasts(self):
        make_people(2)
        due = make_broadcast(status="scheduled", scheduled_at=clock.now())
        assert process_scheduled_broadcasts.delay().get() == {"success": True, "processed": 1}
        due.refresh_from_db()
        assert due.status == "sending"
        assert process_scheduled_broadcasts() == {"success": True, "processed": 0}
