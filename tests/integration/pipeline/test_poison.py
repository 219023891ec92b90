"""A message that our own code cannot work on becomes a dead letter; the others go on at once."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DataError, OperationalError

from notifications.engine import path, settlement
from notifications.engine import prepare as pipeline
from notifications.engine.journal import journal
from notifications.engine.path import record_poisoned
from notifications.engine.prepare import prepare
from notifications.engine.runs import deliver_rows, keys_of
from notifications.features.sending.deliver_now import NotificationDeliveryEngine
from notifications.models import (
    DeadLetter,
    DeliveryAttempt,
    DeliveryBatch,
    Notification,
    NotificationMessage,
    unpack_keys,
)
from notifications.queue import batches
from notifications.queue.leases import NewBatch
from notifications.recording import record as recording
from notifications.recording.poison import record_poison
from tests.integration.factories import make_messages

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _stopped_clock(frozen: Any) -> None:
    """Time stands still."""


def raising_for(key: int, original: Any, find: Any) -> Any:
    """A step that raises whenever one message is among those that it is given."""

    def stumble(*args: Any, **more: Any) -> Any:
        if find(*args, key):
            raise ZeroDivisionError("a fault of ours")
        return original(*args, **more)

    return stumble


def among(messages: Any, *rest: Any) -> bool:
    return any(message.id == rest[-1] for message in messages)


STEPS = {
    "facts": (pipeline, "load_facts", among),
    "decision": (pipeline, "message_facts", lambda message, *rest: message.id == rest[-1]),
    "rendering": (pipeline, "content_of", lambda message, *rest: message.id == rest[-1]),
    "routing": (pipeline, "route", lambda message, *rest: message.id == rest[-1]),
    "record": (recording, "_apply", lambda found, key: any(o.message.id == key for o in found)),
}


@pytest.mark.parametrize("step", STEPS)
def test_what_raises_at_any_step_is_narrowed_down_to_its_message(step: str, monkeypatch: Any):
    messages = make_messages(9, channel="in_app")
    poor = messages[4].pk
    module, name, find = STEPS[step]
    monkeypatch.setattr(module, name, raising_for(poor, getattr(module, name), find))
    (lease,) = batches.lease(owner="w", lane="default", seconds=60)

    deliver_rows([lease], owner="w")

    found = dict(NotificationMessage.objects.values_list("pk", "status"))
    assert found.pop(poor) == "failed"
    assert set(found.values()) == {"delivered"}
    letter = DeadLetter.objects.get()
    assert (letter.message_id, letter.code, letter.channel) == (poor, "poison", "in_app")
    assert "ZeroDivisionError" in letter.last_error
    assert "trace" in letter.last_error
    assert not DeliveryBatch.objects.exists() or lease.stale


def test_a_settlement_that_raises_costs_its_own_message_only(monkeypatch: Any):
    messages = make_messages(5, channel="in_app")
    poor = messages[2].pk
    monkeypatch.setattr(
        settlement,
        "settle",
        raising_for(poor, settlement.settle, lambda item, _result, key: item.message.id == key),
    )
    (lease,) = batches.lease(owner="w", lane="default", seconds=60)

    deliver_rows([lease], owner="w")

    statuses = dict(NotificationMessage.objects.values_list("pk", "status"))
    assert set(statuses.values()) <= {"delivered", "sent"}


def test_a_row_that_cannot_even_be_read_is_a_dead_letter(monkeypatch: Any):
    """Only its key, numbers and names are read of it then."""
    messages = make_messages(5)
    poor = messages[3]
    statements = pipeline.hot()
    load = statements.load_pending

    def refuse(keys: Any) -> Any:
        if poor.pk in keys:
            raise DataError("timestamp too large")
        return load(keys)

    monkeypatch.setattr(statements, "load_pending", refuse)
    (lease,) = batches.lease(owner="w", lane="default", seconds=60)

    work = prepare("email", keys_of([lease]))
    record_poisoned(work, owner="w")

    assert len(work.ready) == 4
    assert DeadLetter.objects.get().message_id == poor.pk
    assert lease.open_keys == {message.pk for message in messages} - {poor.pk}


def test_a_message_whose_category_is_gone_is_a_dead_letter_without_one():
    messages = make_messages(3, channel="in_app")
    Notification.objects.filter(pk=messages[0].notification_id).update(category_id=10**6)
    (lease,) = batches.lease(owner="w", lane="default", seconds=60)

    deliver_rows([lease], owner="w")

    letter = DeadLetter.objects.get()
    assert (letter.message_id, letter.code, letter.category) == (messages[0].pk, "poison", "")
    assert NotificationMessage.objects.filter(status="delivered").count() == 2


def test_a_database_that_is_away_makes_no_dead_letters(monkeypatch: Any):
    make_messages(3, channel="in_app")
    (lease,) = batches.lease(owner="w", lane="default", seconds=60)

    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(pipeline, "load_facts", away)
    with pytest.raises(OperationalError):
        deliver_rows([lease], owner="w")

    assert not DeadLetter.objects.exists()
    assert NotificationMessage.objects.filter(status="pending").count() == 3


def test_a_repeated_record_writes_no_second_attempt(override_environment: Any):
    override_environment(email_provider="smtp", rate_limits=("smtp=off",))
    make_messages(1)
    (lease,) = batches.lease(owner="w", lane="default", seconds=60)
    (item,) = prepare("email", keys_of([lease])).ready
    journal([item], owner="w")
    outcome = settlement.settle(
        item, path.SendResult(path.Verdict.SENT), at=item.message.expires_at or lease_time()
    )

    recording.record([outcome], owner="w")
    recording.record([outcome], owner="w")

    assert DeliveryAttempt.objects.count() == 1


def lease_time() -> Any:
    return NotificationMessage.objects.get().scheduled_at


def test_errors_of_values_are_refusals_and_not_outages():
    from notifications.infra.database.errors import is_unavailable

    assert is_unavailable(OperationalError("database is locked"))
    assert is_unavailable(OperationalError("disk I/O error"))
    assert not is_unavailable(OperationalError("too many SQL variables"))
    assert not is_unavailable(DataError("invalid"))
    assert not is_unavailable(ValueError("x"))


def test_a_burial_leaves_a_journal_alone_that_another_thread_has_just_committed() -> None:
    """What is in flight must stay named in the journal, or a crash would send it twice."""
    made = make_messages(4)
    (lease,) = batches.lease(owner="w", lane="default", seconds=60)
    before = lease.journal
    journal(prepare("email", keys_of([lease])).ready[:2], owner="w")
    (stored,) = DeliveryBatch.objects.values_list("journal", flat=True)
    lease.journal, known = before, lease.journal  # the burying thread still sees the old one

    assert record_poison(lease, made[3].pk, ZeroDivisionError(), owner="w")

    lease.journal = known
    assert DeliveryBatch.objects.values_list("journal", flat=True).get() == stored


def test_a_message_that_is_buried_leaves_its_journal_and_its_lease() -> None:
    made = make_messages(3)
    (lease,) = batches.lease(owner="w", lane="default", seconds=60)
    journal(prepare("email", keys_of([lease])).ready[:2], owner="w")

    assert record_poison(lease, made[0].pk, ZeroDivisionError(), owner="w")

    assert lease.journal == {made[1].pk}
    assert lease.open_keys == {made[1].pk, made[2].pk}
    stored = DeliveryBatch.objects.values_list("journal", flat=True).get()
    assert set(unpack_keys(stored)) == {made[1].pk}


def test_a_message_that_was_moved_to_another_batch_is_that_ones_to_send() -> None:
    made = make_messages(2)
    (lease,) = batches.lease(owner="w", lane="default", seconds=60)
    ready = prepare("email", keys_of([lease])).ready
    (other,) = batches.insert([NewBatch("default", "email", "key:1", None, [made[0].pk], 0)])
    NotificationMessage.objects.filter(pk=made[0].pk).update(batch_id=other)

    assert [item.message.id for item in journal(ready, owner="w")] == [made[1].pk]


def test_a_single_try_locks_the_batch_that_its_message_is_in_now() -> None:
    """The caller's copy of the message may be older than its last retry."""
    (message,) = make_messages(1)
    (other,) = batches.insert([NewBatch("default", "email", "key:1", None, [message.pk], 0)])
    NotificationMessage.objects.filter(pk=message.pk).update(batch_id=other)
    locked: list[int | None] = []
    lock = batches.lock

    def noting(batch_id: int | None) -> None:
        locked.append(batch_id)
        lock(batch_id)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(batches, "lock", noting)
        NotificationDeliveryEngine()._lease(message)

    assert other in locked
