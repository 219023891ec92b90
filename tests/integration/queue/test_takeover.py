"""What a dead worker leaves behind: rule by rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from notifications.domain.channels import Lane
from notifications.domain.lifecycle import MessageStatus
from notifications.domain.messages import SendResult, Verdict
from notifications.infra import clock
from notifications.infra.process.identity import own_name
from notifications.models import (
    DeadLetter,
    DeliveryBatch,
    Notification,
    NotificationMessage,
    WorkerProcess,
    unpack_keys,
)
from notifications.models.delivery.hot import hot
from notifications.queue import batches, takeover
from notifications.queue.leases import NewBatch
from notifications.recording.outcomes import Outcome
from notifications.recording.record import Recording
from tests.integration.factories import make_messages

pytestmark = pytest.mark.django_db
NOW = datetime(2030, 5, 1, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture(autouse=True)
def time():
    moving = Clock()
    with clock.reading(moving):
        yield moving


def die_with(time: Clock, keys: list[int], *, isolated: bool = False) -> None:
    """A worker leases, journals these keys and dies; its lease runs out."""
    (held,) = batches.lease(owner="w", lane=Lane.DEFAULT, seconds=10, isolated=isolated)
    for key in keys:
        assert batches.journal_one(held, key, "w")
    time.forward(11)


def ended(name: str) -> str:
    """The name of a process of this machine and boot that has ended."""
    parts = name.split("/")
    parts[4] = str(int(parts[4]) - 1)  # a process of another start time had this pid
    return "/".join(parts)


def statuses(messages) -> list[str]:
    keys = [message.pk for message in messages]
    return list(
        NotificationMessage.objects.filter(pk__in=keys)
        .order_by("pk")
        .values_list("status", flat=True)
    )


def test_messages_in_no_journal_were_surely_not_sent_and_wait_again(time):
    messages = make_messages(3)
    die_with(time, [])

    report = takeover.sweep(everywhere=True)

    assert (report.batches, report.uncertain) == (1, 0)
    assert statuses(messages) == ["pending"] * 3
    (again,) = batches.lease(owner="v", lane=Lane.DEFAULT, seconds=10)
    assert (again.size, again.takeovers) == (3, 1)


def test_a_living_worker_is_left_alone(time):
    make_messages(1)
    batches.lease(owner="w", lane=Lane.DEFAULT, seconds=10)

    assert takeover.sweep(everywhere=True).batches == 0


def test_a_journalled_message_is_uncertain_and_resent_by_policy_as_an_attempt(time):
    messages = make_messages(2)
    die_with(time, [messages[0].pk])

    report = takeover.sweep(everywhere=True)

    assert (report.uncertain, report.resent) == (1, 1)
    doubtful = NotificationMessage.objects.get(pk=messages[0].pk)
    assert (doubtful.status, doubtful.attempts) == ("pending", 1)
    assert doubtful.batch_id != messages[0].batch_id
    events = [(entry["event"], entry["reason"]) for entry in doubtful.history()]
    assert events == [("uncertain", "lease_expired"), ("pending", "resent_by_crash_policy")]


def test_a_category_that_holds_leaves_the_doubt_to_a_person(time):
    (message,) = make_messages(1, category="marketing")
    die_with(time, [message.pk])

    assert takeover.sweep(everywhere=True).held == 1

    assert statuses([message]) == ["uncertain"]
    letter = DeadLetter.objects.get(message_id=message.pk)
    assert (letter.code, letter.attempts) == ("uncertain", 1)
    assert not DeliveryBatch.objects.exists()


def test_a_doubtful_message_without_attempts_left_is_held(time):
    (message,) = make_messages(1, attempts=2)
    die_with(time, [message.pk])

    takeover.sweep(everywhere=True)

    assert statuses([message]) == ["uncertain"]
    assert DeadLetter.objects.get().code == "uncertain"


def test_a_row_channel_is_never_uncertain(time):
    (message,) = make_messages(1, channel="in_app")
    die_with(time, [message.pk])

    assert takeover.sweep(everywhere=True).uncertain == 0

    assert statuses([message]) == ["pending"]
    assert NotificationMessage.objects.get(pk=message.pk).attempts == 0


def test_a_message_that_kills_its_worker_is_isolated_at_the_second_and_dead_at_the_third(time):
    (message,) = make_messages(1, max_attempts=9)
    die_with(time, [message.pk])
    takeover.sweep(everywhere=True)
    die_with(time, [message.pk])
    takeover.sweep(everywhere=True)
    assert DeliveryBatch.objects.get().isolated
    die_with(time, [message.pk], isolated=True)

    assert takeover.sweep(everywhere=True).poison == 1

    assert statuses([message]) == ["failed"]
    assert DeadLetter.objects.get().code == "poison"
    assert not DeliveryBatch.objects.exists()


def test_each_death_with_an_empty_journal_bisects_the_batch_down_to_single_messages(time):
    messages = make_messages(5)
    sizes = []
    for _ in range(4):
        name = own_name("gone")
        batches.lease(owner=ended(name), lane=Lane.DEFAULT, seconds=3600)
        takeover.sweep(everywhere=True)
        sizes.append(sorted(DeliveryBatch.objects.values_list("size", flat=True)))

    assert sizes == [[2, 3], [1, 1, 1, 2], [1] * 5, [1] * 5]
    assert set(DeliveryBatch.objects.values_list("isolated", flat=True)) == {True}
    assert statuses(messages) == ["pending"] * 5
    batch_ids = NotificationMessage.objects.values_list("batch_id", flat=True)
    assert set(batch_ids) == set(DeliveryBatch.objects.values_list("pk", flat=True))


def test_one_expired_lease_may_be_an_outage_and_bisects_nothing(time):
    make_messages(2)
    die_with(time, [])
    takeover.sweep(everywhere=True)
    assert [batch.size for batch in DeliveryBatch.objects.all()] == [2]


def test_a_process_that_is_known_to_have_ended_waits_for_no_lease(time):
    messages = make_messages(2)
    owner = ended(own_name("gone"))
    WorkerProcess.objects.create(owner=owner, started_at=NOW, lease_until=NOW + timedelta(hours=1))
    (held,) = batches.lease(owner=owner, lane=Lane.DEFAULT, seconds=3600)
    assert batches.journal_one(held, messages[0].pk, owner)

    assert takeover.sweep(expired=False).uncertain == 1

    events = NotificationMessage.objects.get(pk=messages[0].pk).history()
    assert events[0]["reason"] == "worker_died"
    assert not WorkerProcess.objects.exists()


def test_a_batch_that_was_leased_after_the_last_heartbeat_is_found_with_the_next_sweep(time):
    make_messages(1)
    WorkerProcess.objects.create(owner="w", started_at=NOW, lease_until=NOW + timedelta(seconds=10))
    time.forward(9)
    batches.lease(owner="w", lane=Lane.DEFAULT, seconds=10)
    time.forward(2)
    assert takeover.sweep().batches == 0
    time.forward(9)
    assert takeover.sweep().batches == 1


def test_after_an_outage_living_workers_may_renew_before_leases_are_taken(time):
    make_messages(1)
    WorkerProcess.objects.create(owner="w", started_at=NOW, lease_until=NOW)
    (held,) = batches.lease(owner="w", lane=Lane.DEFAULT, seconds=10)
    time.forward(19)

    assert takeover.sweep(everywhere=True, expired=False).batches == 0
    batches.renew([held], "w", 10)
    assert takeover.sweep(everywhere=True).batches == 0


def test_leases_of_who_is_on_no_list_are_found_by_the_sweep_of_everything(time):
    make_messages(1)
    die_with(time, [])

    assert takeover.sweep().batches == 0
    assert takeover.sweep(everywhere=True, expired=False).batches == 0
    assert takeover.sweep(everywhere=True).batches == 1


def test_messages_whose_category_is_gone_are_left_to_a_person(time):
    (message,) = make_messages(1)
    die_with(time, [message.pk])
    Notification.objects.filter(pk=message.notification_id).update(category_id=10**6)

    assert takeover.sweep(everywhere=True).held == 1
    assert DeadLetter.objects.get().category == ""


def test_a_batch_that_cannot_be_taken_over_holds_up_no_other(time):
    make_messages(1)
    make_messages(1)
    broken, _whole = batches.lease(owner="w", lane=Lane.DEFAULT, seconds=10)
    DeliveryBatch.objects.filter(pk=broken.batch_id).update(members="x-y")
    time.forward(11)

    report = takeover.sweep(everywhere=True)

    assert (report.batches, report.failed) == (1, 1)


def test_settled_members_of_a_dead_batch_are_not_touched(time):
    done, waiting = make_messages(2)
    NotificationMessage.objects.filter(pk=done.pk).update(status="sent")
    die_with(time, [done.pk])

    assert takeover.sweep(everywhere=True).uncertain == 0

    assert statuses([done, waiting]) == ["sent", "pending"]


def test_a_dead_batch_leaves_alone_what_has_moved_on_to_a_later_one(time):
    """A retry may be in another worker's hands: taken from it, it would go out a second time."""
    waiting, retried = make_messages(2)
    owner = ended(own_name("gone"))
    batches.lease(owner=owner, lane=Lane.DEFAULT, seconds=3600)
    (batch_id,) = batches.insert([NewBatch("default", "email", "key:1", None, [retried.pk])])
    NotificationMessage.objects.filter(pk=retried.pk).update(batch_id=batch_id)
    (retry,) = batches.lease(owner="w", lane=Lane.DEFAULT, seconds=10)
    assert batches.journal_one(retry, retried.pk, "w")

    takeover.sweep(everywhere=True)

    retried.refresh_from_db()
    assert (retried.status, retried.batch_id) == ("pending", batch_id)
    (again,) = batches.lease(owner="v", lane=Lane.DEFAULT, seconds=10, isolated=True)
    assert again.open_keys == {waiting.pk}


def test_an_outcome_that_comes_too_late_keeps_no_departure_off_the_journal():
    """A message that leaves while no journal names it would be lost in a crash."""
    (gone,), (going,) = make_messages(1), make_messages(1)
    leases = batches.lease(owner="w", lane=Lane.DEFAULT, seconds=60)
    held = {next(iter(lease.open_keys)): lease for lease in leases}
    lost, living = held[gone.pk], held[going.pk]
    DeliveryBatch.objects.filter(pk=lost.batch_id).delete()
    (message,) = hot().load_pending([gone.pk])
    late = Outcome(
        *(lost, message, MessageStatus.SENT, "", NOW, 1),
        provider="sandbox",
        result=SendResult(Verdict.SENT),
    )
    recording = Recording([late], [living])

    with recording.transaction(owner="w"):
        recording.journal({living: {going.pk}})

    assert recording.late == [late]
    assert living.journal == {going.pk}
    row = DeliveryBatch.objects.get(pk=living.batch_id)
    assert set(unpack_keys(row.journal)) == {going.pk}
