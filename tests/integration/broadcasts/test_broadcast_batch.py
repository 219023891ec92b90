"""The documented class BroadcastBatchProcessor, its scenarios and its examples."""

from __future__ import annotations

import pytest
from django.db.models import Count, F

from directory.models import Enrollment, Subject, TutorAssignment
from notifications.broadcast_batch import (
    BroadcastBatchProcessor,
    process_broadcast_batch_async,
    retry_failed_broadcasts_async,
)
from notifications.features.broadcasts.delivery import (
    batches as broadcast_batches,
)
from notifications.features.broadcasts.delivery import (
    launch as broadcast_launch,
)
from notifications.infra import clock
from notifications.models import (
    Broadcast,
    BroadcastRecipient,
    DeliveryAttempt,
    DeliveryBatch,
    Notification,
    NotificationMessage,
    SandboxMessage,
)
from notifications.services.broadcast import BroadcastService
from tests.integration.broadcasts.factories import make_broadcast, make_people, states
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def draft() -> Broadcast:
    return make_broadcast(channels=["in_app"])


class TestCreatingRecipients:
    @pytest.mark.parametrize(("size", "batches"), [(2, 3), (5, 1), (1000, 1), (1, 5)])
    def test_batch_creation_with_various_sizes(self, draft, size, batches):
        result = BroadcastBatchProcessor.create_broadcast_recipients_batch(
            broadcast_id=draft.id, recipient_ids=make_people(5), batch_size=size
        )
        assert result == {
            "success": True,
            "created_count": 5,
            "total_count": 5,
            "batches_processed": batches,
            "errors": [],
        }
        draft.refresh_from_db()
        assert draft.recipient_count == 5

    def test_duplicate_handling(self, draft):
        people = make_people(4)
        BroadcastService.create_batch_recipients(draft.id, people[:3])
        again = BroadcastService.create_batch_recipients(draft.id, [*people, people[0]])
        assert (again["success"], again["created_count"], again["total_count"]) == (True, 1, 5)
        assert BroadcastRecipient.objects.count() == 4

    def test_ids_of_no_user_are_reported_and_skipped(self, draft):
        (person,) = make_people(1)
        result = BroadcastService.create_batch_recipients(draft.id, [person, 987_654])
        assert (result["success"], result["created_count"]) == (False, 1)
        assert result["errors"] == ["There is no user 987654"]

    def test_an_ended_broadcast_accepts_no_recipients(self):
        made = make_broadcast(status="completed")
        with pytest.raises(ValueError, match="Cannot add recipients to broadcast with status comp"):
            BroadcastService.create_batch_recipients(made.id, make_people(1))

    def test_an_empty_list_is_no_error(self, draft):
        result = BroadcastService.create_batch_recipients(draft.id, [])
        assert (result["success"], result["batches_processed"]) == (True, 0)

    @pytest.mark.parametrize("size", [0, -1])
    def test_a_batch_size_is_at_least_one(self, draft, size):
        with pytest.raises(ValueError, match="batch_size must be at least 1"):
            BroadcastService.create_batch_recipients(draft.id, [1], size)


class TestSending:
    @pytest.mark.parametrize("surface", [BroadcastService, BroadcastBatchProcessor])
    def test_batch_sending_dispatches_before_it_returns(self, draft, surface):
        make_people(7)
        make_people(2, role="teacher", prefix="t")
        result = surface.send_to_group_batch(draft.id, "all_students", None, 3)
        assert result == {
            "success": True,
            "broadcast_id": draft.id,
            "total_recipients": 7,
            "sent_count": 7,
            "failed_count": 0,
            "batches_processed": 3,
            "errors": [],
        }
        draft.refresh_from_db()
        assert draft.status == "completed"
        assert not DeliveryBatch.objects.exists()

    def test_batch_sending_to_different_target_groups(self):
        students = make_people(4)
        (teacher,) = make_people(1, role="teacher", prefix="t")
        (tutor,) = make_people(1, role="tutor", prefix="u")
        subject = Subject.objects.create(name="Mathematics")
        Enrollment.objects.create(student_id=students[0], subject=subject, teacher_id=teacher)
        TutorAssignment.objects.create(student_id=students[1], tutor_id=tutor)
        for group, target, expected in (
            ("by_subject", {"subject_id": subject.pk}, {students[0], teacher}),
            ("by_tutor", {"tutor_id": tutor}, {students[1]}),
            ("by_teacher", {"teacher_id": teacher}, {students[0]}),
            ("custom", {"user_ids": students[2:]}, set(students[2:])),
            ("all_tutors", None, {tutor}),
        ):
            made = make_broadcast(channels=["in_app"])
            result = BroadcastBatchProcessor.send_to_group_batch(
                broadcast_id=made.id, target_group=group, target_filter=target
            )
            assert (result["success"], result["sent_count"]) == (True, len(expected))
            rows = BroadcastRecipient.objects.filter(broadcast=made)
            assert set(rows.values_list("recipient_id", flat=True)) == expected

    @pytest.mark.parametrize("role", ["student", "teacher", "tutor", "parent"])
    def test_sending_to_a_role(self, draft, role):
        make_people(2, role=role)
        result = BroadcastBatchProcessor.send_to_role_batch(draft.id, role, batch_size=100)
        assert result["sent_count"] == 2
        assert set(Notification.objects.values_list("user__role", flat=True)) == {role}

    def test_an_unknown_role_is_an_error_that_names_it(self, draft):
        with pytest.raises(ValueError, match="Unknown role 'janitor'"):
            BroadcastService.send_to_role_batch(draft.id, "janitor")

    def test_sending_to_a_list_reports_unknown_ids(self, draft):
        people = make_people(3)
        result = BroadcastService.send_to_custom_list_batch(draft.id, [*people, 987_654])
        assert (result["sent_count"], result["errors"]) == (3, ["unknown_user: 987654"])

    def test_batch_sending_reaches_providers(self):
        for name in ("a", "b", "c"):
            make_user(username=name, email=f"{name}@example.com")
        made = make_broadcast(channels=["email"])
        result = BroadcastService.send_to_group_batch(made.id, "all_students", batch_size=2)
        assert result["sent_count"] == 3
        assert SandboxMessage.objects.filter(channel="email").count() == 3

    def test_an_empty_audience_is_reported(self, draft):
        result = BroadcastService.send_to_group_batch(draft.id, "all_parents")
        assert (result["success"], result["total_recipients"]) == (False, 0)
        assert result["errors"] == ["No recipients found for group all_parents"]
        draft.refresh_from_db()
        assert draft.status == "draft"

    def test_a_wrong_filter_sends_nothing(self, draft):
        make_people(2)
        result = BroadcastService.send_to_group_batch(draft.id, "by_subject", {})
        assert not result["success"]
        assert "subject_id" in result["errors"][0]
        assert not NotificationMessage.objects.exists()

    @pytest.mark.parametrize("status", ["completed", "cancelled", "paused", "sent"])
    def test_a_broadcast_with_one_of_these_statuses_is_not_sent(self, status):
        made = make_broadcast(status=status)
        with pytest.raises(ValueError, match=f"Cannot send broadcast with status {status}"):
            BroadcastBatchProcessor.send_to_group_batch(made.id, "all_students")

    @pytest.mark.parametrize(
        ("call", "args"),
        [
            ("send_to_group_batch", ("all_students",)),
            ("send_to_role_batch", ("student",)),
            ("send_to_custom_list_batch", ([1],)),
            ("create_broadcast_recipients_batch", ([1],)),
            ("retry_failed_batch", ()),
            ("get_batch_status", ()),
        ],
    )
    def test_error_handling_for_an_unknown_broadcast(self, call, args):
        with pytest.raises(ValueError, match=r"^Broadcast 99999 not found$"):
            getattr(BroadcastBatchProcessor, call)(99999, *args)

    def test_sending_again_during_sending_reaches_only_new_people(self):
        make_people(2)
        made = make_broadcast(channels=["in_app"], status="sending")
        first = BroadcastService.send_to_group_batch(made.id, "all_students")
        assert first["sent_count"] == 2
        Broadcast.objects.filter(pk=made.pk).update(status="sending")
        make_people(1)
        again = BroadcastService.send_to_group_batch(made.id, "all_students")
        assert (again["total_recipients"], again["sent_count"]) == (3, 3)
        assert NotificationMessage.objects.count() == 3


class TestRetrying:
    def failed(self, count: int = 4) -> Broadcast:
        made = make_broadcast(channels=["in_app"], status="failed", recipient_count=count)
        for person in make_people(count):
            BroadcastRecipient.objects.create(
                broadcast=made, recipient_id=person, telegram_error="Network timeout"
            )
        return made

    def test_retry_mechanism(self):
        made = self.failed()
        result = BroadcastBatchProcessor.retry_failed_batch(
            broadcast_id=made.id, max_retries=3, batch_size=100
        )
        assert (result["success"], result["retried_count"], result["sent_count"]) == (True, 4, 4)
        assert states(made) == {"sent": 4}

    def test_a_batch_retry_without_failures_does_nothing(self, draft):
        result = BroadcastBatchProcessor.retry_failed_batch(draft.id)
        assert (result["success"], result["retried_count"]) == (True, 0)

    def test_retries_are_counted_for_each_recipient(self):
        made = self.failed(3)
        BroadcastRecipient.objects.filter(
            pk=BroadcastRecipient.objects.values_list("pk", flat=True)[0]
        ).update(retries=3)
        result = retry_failed_broadcasts_async.delay(made.id).get()
        assert result["retried_count"] == 2
        assert states(made) == {"sent": 2, "failed": 1}


class TestConfiguring:
    def test_the_documented_constants(self):
        assert BroadcastBatchProcessor.BATCH_SIZE == 1000
        assert BroadcastBatchProcessor.SEND_BATCH_SIZE == 100
        assert BroadcastBatchProcessor.MAX_RETRIES == 3
        assert BroadcastBatchProcessor.RETRY_DELAYS == [10, 60, 300]

    def test_a_subclass_changes_sizes_and_retries(self):
        class Custom(BroadcastBatchProcessor):
            BATCH_SIZE = 2
            SEND_BATCH_SIZE = 3
            MAX_RETRIES = 5
            RETRY_DELAYS = [1, 2]

        people = make_people(5)
        made = make_broadcast(channels=["in_app"])
        created = Custom.create_broadcast_recipients_batch(made.id, people)
        assert created["batches_processed"] == 3
        sent = Custom.send_to_group_batch(made.id, "all_students", batch_size=None)
        assert sent["batches_processed"] == 2
        assert Notification.objects.first().options["retry_policy"] == "listed:1,2"
        assert set(NotificationMessage.objects.values_list("max_attempts", flat=True)) == {6}

    def test_the_default_retries(self, draft):
        make_people(1)
        BroadcastService.send_to_group_batch(draft.id, "all_students")
        assert Notification.objects.get().options == {"retry_policy": "broadcast"}
        assert NotificationMessage.objects.get().max_attempts == 4


class TestHandingOver:
    def test_a_batch_leased_by_another_worker_is_waited_for(self, draft, monkeypatch):
        make_people(2)
        taken: list[int] = []

        def nap(_seconds: float) -> None:
            taken.append(DeliveryBatch.objects.update(owner=None))

        monkeypatch.setattr(broadcast_batches.ports, "sleep", nap)
        deliver_and_wait = broadcast_batches.deliver_and_wait

        def wait_first(broadcast_id: int) -> None:
            if not taken:
                DeliveryBatch.objects.update(owner="another")
            deliver_and_wait(broadcast_id)

        monkeypatch.setattr(broadcast_batches, "deliver_and_wait", wait_first)
        result = BroadcastService.send_to_group_batch(draft.id, "all_students")
        assert (result["sent_count"], taken) == (2, [1])
        assert DeliveryAttempt.objects.count() == 0  # the inbox needs no call

    def test_a_later_retry_does_not_block_the_caller(self):
        made = make_broadcast(channels=["email"])
        for name in ("a", "b"):
            make_user(username=name, email=f"temporary@{name}.simulator.carillon")
        result = BroadcastService.send_to_group_batch(made.id, "all_students")
        assert (result["total_recipients"], result["sent_count"]) == (2, 0)
        assert BroadcastService.get_progress(made.id)["pending_count"] == 2


class TestExamples:
    """The documented examples, as they are written."""

    def test_example_1_send_broadcast_to_all_students(self):
        make_people(3)
        admin_user = make_user(username="boss", role="admin")
        broadcast = Broadcast.objects.create(
            created_by=admin_user,
            target_group="all_students",
            message="Important announcement for all students",
            recipient_count=0,
            status="draft",
        )
        task = process_broadcast_batch_async.delay(
            broadcast_id=broadcast.id, target_group="all_students"
        )
        assert task.id
        task.get()  # no worker runs in a test
        progress = BroadcastService.get_progress(broadcast.id)
        assert progress["total_recipients"] == 3
        assert progress["progress_pct"] == 100  # no user has a Telegram chat: all are suppressed
        assert progress["suppressed_count"] == 3

    def test_example_2_send_to_specific_subject(self):
        subject = Subject.objects.create(name="Mathematics")
        (student,) = make_people(1)
        Enrollment.objects.create(student_id=student, subject=subject)
        broadcast = Broadcast.objects.create(
            created_by=make_user(username="boss", role="admin"),
            target_group="by_subject",
            target_filter={"subject_id": subject.pk},
            message="New materials for Mathematics",
            status="draft",
        )
        result = BroadcastService.send_to_group_batch(
            broadcast_id=broadcast.id,
            target_group="by_subject",
            target_filter={"subject_id": subject.pk},
        )
        assert result["success"]
        assert result["total_recipients"] == 1

    def test_example_3_retry_failed_sends(self):
        made = TestRetrying().failed(2)
        progress = BroadcastService.get_progress(broadcast_id=made.id)
        assert progress["failed_count"] == 2
        result = BroadcastService.retry_failed(broadcast_id=made.id)
        assert result["retried_count"] == 2
        assert BroadcastService.get_progress(broadcast_id=made.id)["pending_count"] == 2

    def test_monitoring_queries(self, draft):
        make_people(2)
        BroadcastService.send_to_group_batch(draft.id, "all_students")
        assert list(Broadcast.objects.values("status").annotate(count=Count("id"))) == [
            {"status": "completed", "count": 1}
        ]
        completed = Broadcast.objects.filter(status="completed").annotate(
            processing_time=F("completed_at") - F("sent_at")
        )
        assert completed[0].processing_time.total_seconds() >= 0
        status = BroadcastBatchProcessor.get_batch_status(broadcast_id=draft.id)
        assert (status["broadcast_id"], status["progress_pct"]) == (draft.id, 100)


@pytest.mark.parametrize("first", [slice(0, 3), slice(9, 12)], ids=["the first", "the last"])
def test_sending_to_some_during_a_snapshot_skips_no_recipient(first, monkeypatch):
    """Two processes: one writes the snapshot of a launch, another sends to a few recipients."""
    people = make_people(12)
    made = make_broadcast()
    monkeypatch.setattr(broadcast_launch, "SNAPSHOT_BATCH", 4)
    monkeypatch.setattr(broadcast_launch, "MESSAGE_BATCH", 4)
    broadcast_launch.begin(made.pk, now=clock.now())
    broadcast_launch.write_snapshot(made.pk, until=clock.monotonic())

    BroadcastBatchProcessor.send_to_group_batch(made.pk, "custom", {"user_ids": people[first]})
    made.refresh_from_db()
    assert (made.snapshot_done, made.messaged_done) == (False, False)

    assert broadcast_launch.continue_launch(made.pk)
    reached = Notification.objects.filter(source=made.source).values_list("user_id", flat=True)
    assert sorted(reached) == people


def test_performance_with_large_datasets(draft):
    """Two thousand people at once; `carillon bench broadcast` measures the rates."""
    people = make_people(2_000)
    result = BroadcastService.create_batch_recipients(draft.id, people)
    assert (result["created_count"], result["batches_processed"]) == (2_000, 2)
    sent = BroadcastBatchProcessor.send_to_group_batch(draft.id, "all_students", batch_size=500)
    assert (sent["sent_count"], sent["batches_processed"]) == (2_000, 4)
