"""The actions on a broadcast: send, pause, resume, cancel, approve, reject, retry."""

from __future__ import annotations

from datetime import timedelta

import pytest

from notifications.domain.broadcast_lifecycle import BroadcastStatus
from notifications.domain.errors import Conflict, InvalidRequest, NotFound, Refused
from notifications.domain.lifecycle import MessageStatus
from notifications.engine.runs import deliver_rows
from notifications.features.broadcasts import actions
from notifications.features.broadcasts.delivery import launch as broadcast_launch
from notifications.infra import clock
from notifications.models import (
    Broadcast,
    BroadcastRecipient,
    DeliveryBatch,
    MessageEvent,
    NotificationMessage,
)
from notifications.policy.facts import load_stops
from notifications.queue import batches
from tests.integration.broadcasts.factories import (
    deliver,
    launch,
    maintain,
    make_broadcast,
    make_people,
    settle_messages,
    states,
)
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
S = MessageStatus


class TestLaunching:
    def test_a_launch_of_a_small_broadcast_returns_with_all_messages_created(self, frozen):
        make_people(5)
        made = actions.launch(make_broadcast().pk, now=frozen.now)
        assert (made.status, made.recipient_count, made.messaged_done) == ("sending", 5, True)
        assert NotificationMessage.objects.count() == 5

    def test_a_broadcast_that_awaits_approval_cannot_be_launched(self):
        made = make_broadcast(status=BroadcastStatus.AWAITING_APPROVAL)
        with pytest.raises(Conflict, match="Cannot send broadcast with status awaiting_approval"):
            actions.launch(made.pk, now=clock.now())

    def test_a_broadcast_without_recipients_stays_a_draft(self):
        made = make_broadcast()
        with pytest.raises(InvalidRequest) as caught:
            actions.launch(made.pk, now=clock.now())
        assert (caught.value.code, caught.value.detail) == (
            "no_recipients",
            "No recipients found for group all_students",
        )
        made.refresh_from_db()
        assert (made.status, made.job_id) == ("draft", None)

    @pytest.mark.parametrize("verb", ["launch", "pause", "resume", "cancel", "retry", "progress"])
    def test_an_unknown_broadcast_raises_not_found(self, verb):
        with pytest.raises(NotFound, match="Broadcast 99999 not found") as caught:
            getattr(actions, verb)(99999, now=clock.now())
        assert caught.value.code == "unknown_broadcast"


class TestPausing:
    def test_a_paused_broadcast_sends_nothing_until_it_is_resumed(self, frozen):
        make_people(6)
        made = launch(make_broadcast())

        paused = actions.pause(made.pk, now=frozen.now)

        assert paused.status == "paused"
        assert load_stops().values("source") == [made.source]
        # A worker that has leased the batch already sends nothing of it.
        leases = batches.lease(owner="w", lane="bulk", seconds=60)
        deliver_rows(leases, owner="w")
        assert set(NotificationMessage.objects.values_list("status", flat=True)) == {"pending"}
        actions.resume(made.pk, now=frozen.now)
        frozen.forward(10)
        deliver()
        assert maintain(made).status == "completed"
        assert made.tally.sent == 6

    def test_a_paused_launch_creates_no_recipients(self):
        make_people(3)
        made = make_broadcast()
        broadcast_launch.begin(made.pk, now=clock.now())
        actions.pause(made.pk, now=clock.now())
        maintain(made)
        assert (made.recipient_count, made.snapshot_done) == (0, False)
        actions.resume(made.pk, now=clock.now())
        maintain(made)
        assert (made.recipient_count, made.messaged_done) == (3, True)

    @pytest.mark.parametrize(("verb", "status"), [("pause", "draft"), ("resume", "sending")])
    def test_only_a_sending_broadcast_is_paused_and_only_a_paused_one_resumed(self, verb, status):
        made = make_broadcast(status=status)
        with pytest.raises(
            Conflict, match=f"Cannot {verb} broadcast with status {status}"
        ) as caught:
            getattr(actions, verb)(made.pk, now=clock.now())
        assert caught.value.code == "broadcast_status"


class TestCancelling:
    def test_a_cancellation_cancels_waiting_messages_and_counts_the_sent_ones(self, frozen):
        people = make_people(9)
        made = launch(make_broadcast(channels=["email"]))
        settle_messages(made, S.SENT, people[:4])
        maintain(made)

        cancelled = actions.cancel(made.pk, now=frozen.now)

        assert (cancelled.status, cancelled.completed_at) == ("cancelled", frozen.now)
        assert not cancelled.cleared
        assert (
            batches.lease(
                owner="w", lane="bulk", seconds=60, without_sources=load_stops().values("source")
            )
            == []
        )
        maintain(made)
        maintain(made)
        assert (made.cleared, load_stops().values("source")) == (True, [])
        assert states(made) == {"sent": 4, "cancelled": 5}
        assert (made.tally.sent, made.tally.cancelled, made.tally.pending) == (4, 5, 0)
        assert not DeliveryBatch.objects.exists()
        reasons = MessageEvent.objects.filter(kind="cancelled").values_list("reason", flat=True)
        assert list(reasons) == ["broadcast_cancelled"] * 5

    def test_recipients_without_messages_are_cancelled_too(self):
        make_people(4)
        made = make_broadcast()
        broadcast_launch.begin(made.pk, now=clock.now())
        broadcast_launch.write_snapshot(made.pk)
        actions.cancel(made.pk, now=clock.now())
        maintain(made)
        assert (states(made), made.cleared) == ({"cancelled": 4}, True)
        assert not NotificationMessage.objects.exists()

    def test_a_worker_delivers_nothing_of_its_batch_after_a_cancellation(self, frozen):
        make_people(3)
        made = launch(make_broadcast())
        leases = batches.lease(owner="w", lane="bulk", seconds=60)
        actions.cancel(made.pk, now=frozen.now)
        maintain(made)
        assert not made.cleared  # a worker has leased its batch
        deliver_rows(leases, owner="w")
        maintain(made)
        maintain(made)
        assert (states(made), made.cleared) == ({"cancelled": 3}, True)

    @pytest.mark.parametrize("status", ["draft", "scheduled", "sending", "paused"])
    def test_a_broadcast_with_one_of_these_statuses_can_be_cancelled(self, status):
        made = make_broadcast(status=status)
        assert actions.cancel(made.pk, now=clock.now()).status == "cancelled"
        assert maintain(made).cleared

    @pytest.mark.parametrize("status", ["sent", "completed", "failed", "cancelled"])
    def test_a_broadcast_with_one_of_these_statuses_cannot_be_cancelled(self, status):
        made = make_broadcast(status=status)
        with pytest.raises(Conflict, match=f"Cannot cancel broadcast with status {status}"):
            actions.cancel(made.pk, now=clock.now())
        made.refresh_from_db()
        assert (made.status, made.completed_at) == (status, None)

    def test_a_cancellation_runs_five_statements_whatever_the_size(
        self, django_assert_max_num_queries
    ):
        make_people(40)
        made = launch(make_broadcast())
        with django_assert_max_num_queries(5):
            actions.cancel(made.pk, now=clock.now())


class TestApproving:
    def test_an_approved_broadcast_is_sent_and_stores_who_approved_it(self, frozen):
        make_people(2)
        admin = make_user(username="admin2")
        made = make_broadcast(status=BroadcastStatus.AWAITING_APPROVAL)
        approved = actions.approve(made.pk, by=admin, now=frozen.now)
        assert (approved.status, approved.approved_by_id) == ("sending", admin.pk)

    def test_an_approved_broadcast_with_a_future_time_waits_for_it(self, frozen):
        make_people(2)
        at = frozen.now + timedelta(hours=1)
        made = make_broadcast(status=BroadcastStatus.AWAITING_APPROVAL, scheduled_at=at)
        actions.approve(made.pk, by=make_user(username="admin2"), now=frozen.now)
        assert maintain(made).status == "scheduled"
        frozen.forward(3600)
        assert maintain(made).status == "sending"

    def test_an_author_cannot_approve_their_own_broadcast(self):
        author = make_user(username="author")
        made = make_broadcast(status=BroadcastStatus.AWAITING_APPROVAL, created_by=author)
        with pytest.raises(Refused) as caught:
            actions.approve(made.pk, by=author, now=clock.now())
        assert caught.value.code == "self_approval"

    def test_a_rejected_broadcast_is_a_draft_again_with_the_reason(self):
        made = make_broadcast(status=BroadcastStatus.AWAITING_APPROVAL)
        back = actions.reject(
            made.pk, by=make_user(username="a2"), now=clock.now(), note="wrong day"
        )
        assert (back.status, back.review_note) == ("draft", "wrong day")
        with pytest.raises(Conflict, match="Cannot reject broadcast with status draft"):
            actions.reject(made.pk, by=make_user(username="a3"), now=clock.now(), note="again")


class TestScheduling:
    def test_a_scheduled_broadcast_begins_at_its_time_and_not_before(self, frozen):
        make_people(3)
        made = make_broadcast()
        actions.schedule(made.pk, at=frozen.now + timedelta(minutes=5))
        assert maintain(made).status == "scheduled"
        frozen.forward(300)
        assert (maintain(made).status, made.recipient_count, made.sent_at) == (
            "sending",
            3,
            frozen.now,
        )

    def test_a_scheduled_broadcast_that_cannot_begin_is_a_draft_again_with_the_reason(self, frozen):
        made = make_broadcast(status="scheduled", scheduled_at=frozen.now)
        maintain(made)
        assert made.status == "draft"
        assert made.error_log[0]["error"] == "No recipients found for group all_students"

    def test_a_cancelled_broadcast_never_begins(self, frozen):
        make_people(1)
        made = make_broadcast(status="scheduled", scheduled_at=frozen.now)
        actions.cancel(made.pk, now=frozen.now)
        assert maintain(made).status == "cancelled"
        assert not BroadcastRecipient.objects.exists()


class TestProgress:
    def test_progress_has_counts_reason_rate_and_remaining_time(self, frozen):
        people = make_people(10)
        made = launch(make_broadcast(channels=["email"]))
        frozen.forward(10)
        settle_messages(made, S.FAILED, people[:2], error="Network timeout")
        settle_messages(made, S.SENT, people[2:5])
        settle_messages(made, S.SUPPRESSED, people[5:6])
        maintain(made)

        progress = actions.progress(made.pk, now=frozen.now)

        assert (progress.total_recipients, progress.sent_count, progress.failed_count) == (10, 3, 2)
        assert (progress.suppressed_count, progress.pending_count, progress.progress_pct) == (
            1,
            4,
            60,
        )
        assert progress.error_summary == "2 failed: Network timeout"
        assert (progress.rate_per_second, progress.eta_seconds) == (0.6, 7)
        assert progress.status == "sending"

    def test_progress_of_rows_written_by_a_caller_follows_columns_and_rows(self):
        people = make_people(3)
        made = make_broadcast(status="sending", recipient_count=5, sent_count=1)
        for person, error in zip(people, (None, "no", "no"), strict=True):
            BroadcastRecipient.objects.create(
                broadcast=made, recipient_id=person, telegram_error=error
            )
        progress = actions.progress(made.pk, now=clock.now())
        assert (progress.total_recipients, progress.sent_count, progress.failed_count) == (5, 1, 2)
        assert progress.error_summary == "2 failed: no"

    def test_progress_reads_one_row_and_one_batch_whatever_the_size(
        self, django_assert_num_queries
    ):
        make_people(30)
        made = launch(make_broadcast())
        with django_assert_num_queries(2):
            actions.progress(made.pk, now=clock.now())


class TestRetrying:
    def failed(self, count: int = 5, **values: object) -> tuple[Broadcast, list[int]]:
        people = make_people(count)
        made = launch(make_broadcast(channels=["email"], **values))
        settle_messages(made, S.FAILED, people, error="mailbox full")
        assert maintain(made).status == "failed"
        return made, people

    def test_retried_recipients_are_pending_and_counted_so(self, frozen):
        made, _ = self.failed()

        assert actions.retry(made.pk, now=frozen.now) == 5

        made.refresh_from_db()
        assert (made.status, made.tally.failed, made.tally.pending) == ("sending", 0, 5)
        assert (made.error_reasons, made.completed_at) == ({}, None)
        maintain(made)
        assert made.requeue_done
        rows = NotificationMessage.objects.values_list("status", "attempts").distinct()
        assert list(rows) == [("pending", 0)]
        assert DeliveryBatch.objects.get().size == 5
        assert set(BroadcastRecipient.objects.values_list("retries", flat=True)) == {1}

    def test_a_retry_changes_only_failed_recipients(self, frozen):
        people = make_people(6)
        made = launch(make_broadcast(channels=["email"]))
        settle_messages(made, S.SENT, people[:2])
        settle_messages(made, S.SUPPRESSED, people[2:3])
        settle_messages(made, S.FAILED, people[3:5], error="no")
        maintain(made)
        assert actions.retry(made.pk, now=frozen.now) == 2
        maintain(made)
        assert states(made) == {"sent": 2, "suppressed": 1, "pending": 3}
        assert maintain(made).tally.pending == 3

    def test_a_second_retry_finds_no_failed_recipient(self):
        made, _ = self.failed()
        assert actions.retry(made.pk, now=clock.now()) == 5
        assert actions.retry(made.pk, now=clock.now()) == 0

    def test_a_recipient_that_was_retried_max_retries_times_stays_failed(self):
        made, people = self.failed(2)
        for _ in range(3):
            assert actions.retry(made.pk, now=clock.now()) == 2
            maintain(made)
            settle_messages(made, S.FAILED, people, error="mailbox full")
            assert maintain(made).status == "failed"
        assert actions.retry(made.pk, now=clock.now()) == 0
        assert actions.retry(made.pk, now=clock.now(), max_retries=4) == 2

    def test_a_recipient_with_a_late_receipt_is_not_sent_to_again(self):
        made, people = self.failed(2)
        actions.retry(made.pk, now=clock.now())
        NotificationMessage.objects.filter(user_id=people[0]).update(status="delivered")
        maintain(made)
        maintain(made)
        assert states(made) == {"sent": 1, "pending": 1}
        assert DeliveryBatch.objects.get().size == 1

    def test_a_cancellation_during_a_retry_leaves_recipients_failed(self):
        made, _ = self.failed(3)
        actions.retry(made.pk, now=clock.now())
        actions.cancel(made.pk, now=clock.now())
        maintain(made)
        maintain(made)
        assert (states(made), made.tally.failed, made.cleared) == ({"failed": 3}, 3, True)

    def test_a_retry_creates_messages_for_rows_written_by_a_caller(self):
        people = make_people(3)
        made = make_broadcast(status="sent", recipient_count=3, failed_count=2, sent_count=1)
        for person, error in zip(people, (None, "no", "no"), strict=True):
            BroadcastRecipient.objects.create(
                broadcast=made,
                recipient_id=person,
                telegram_error=error,
                telegram_sent=error is None,
            )
        assert actions.retry(made.pk, now=clock.now()) == 2
        maintain(made)
        maintain(made)
        assert NotificationMessage.objects.filter(status="pending").count() == 2
        assert states(made) == {"sent": 1, "pending": 2}
        deliver()
        assert maintain(made).status == "completed"

    @pytest.mark.parametrize("status", ["cancelled", "paused", "draft"])
    def test_a_broadcast_with_one_of_these_statuses_is_not_retried(self, status):
        made = make_broadcast(status=status)
        (person,) = make_people(1)
        BroadcastRecipient.objects.create(
            broadcast=made, recipient_id=person, telegram_error="Network timeout"
        )
        with pytest.raises(Conflict, match=f"Cannot retry broadcast with status {status}"):
            actions.retry(made.pk, now=clock.now())

    def test_a_retry_without_failures_does_nothing_in_any_status(self):
        made = make_broadcast(status="cancelled")
        assert actions.retry(made.pk, now=clock.now()) == 0
