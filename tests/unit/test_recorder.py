"""Outcomes are recorded whatever fails, and permits are freed by the commit that took them."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from django.db import DataError, OperationalError

from notifications.domain.channels import Lane
from notifications.domain.lifecycle import MessageStatus
from notifications.domain.messages import SendResult, Verdict
from notifications.engine import dispatcher as flights
from notifications.engine import recorder
from notifications.engine.dispatcher import Dispatcher
from notifications.engine.recorder import Recorder
from notifications.engine.values import Ready
from notifications.models.delivery.hot_rows import PendingMessage
from notifications.queue import batches
from notifications.queue.leases import Lease
from notifications.recording.late_results import resolve_uncertain
from notifications.recording.outcomes import Outcome
from notifications.recording.record import Recording, run, was_committed

AT = datetime(2026, 11, 23, tzinfo=UTC)
PLACE = (Lane.DEFAULT, "email")


def held(key):
    return Lease(key, "default", "email", "", 1, str(key), 1, 0, isolated=False)


def pending(key):
    """A message of which nothing is set but what these tests read."""
    blank = PendingMessage._make([None] * len(PendingMessage._fields))
    return blank._replace(id=key, attempts=0, channel="email", max_attempts=3)


def outcome(key, said="", *, in_flight=False):
    lease = held(key)
    message = pending(key)
    result = SendResult(Verdict.SENT, provider_message_id=said, response={"text": said})
    made = Outcome(lease, message, MessageStatus.SENT, "", AT, 1, result=result)
    made.in_flight = in_flight
    return made


def in_flight(key):
    message = pending(key)
    sent = SimpleNamespace(message_id=key, recipient="a", reached=False)
    facts = SimpleNamespace(resends=True)
    return Ready(held(key), message, sent, "fcm", facts)


class Ledger:
    """Records in memory; refuses what holds a NUL, and fails as often as its fixture says.

    lost: commits that are carried out although their answer is lost.
    """

    def __init__(self, *, failures=0, refuses_all_of=(), lost=0, locked=()):
        self.recorded, self.failures, self.refuses = {}, failures, refuses_all_of
        self.lost, self.locked = lost, set(locked)
        self.taken_off, self.ours = [], set()
        self.settled, self.settling = [], []

    async def __call__(self, work, *args, owner=None):
        if work is run:
            return self.record(*args)
        others = {
            was_committed: lambda it: all(o.message.id in self.recorded for o in it.outcomes),
            batches.still_owned: lambda *_: self.ours,
            resolve_uncertain: self.settle,
            batches.remove_from_journal: lambda lease, keys, _: self.take_off(lease, keys),
        }
        return others[work](*args)

    def take_off(self, lease, keys):
        self.taken_off.append((lease.batch_id, set(keys)))
        return True

    def record(self, recording):
        if self.failures:
            self.failures -= 1
            raise OperationalError("the database is away")
        for each in recording.outcomes:
            if "\0" in each.result.provider_message_id or each.message.id in self.refuses:
                raise DataError("no NUL")
            if not each.result.provider_message_id.isascii():
                each.result.provider_message_id.encode()
            if each.message.id in self.locked:
                raise lock_timeout()
        self.recorded.update({each.message.id: each for each in recording.outcomes})
        recording.at_commit = True
        if self.lost:
            self.lost -= 1
            raise OperationalError("the connection is lost")
        return

    def settle(self, outcomes):
        if self.settling:
            raise self.settling.pop(0)
        self.settled += [each.message.id for each in outcomes]
        return len(outcomes)


def lock_timeout():
    error = OperationalError("canceling statement due to lock timeout")
    error.__cause__ = SimpleNamespaceError("55P03")
    return error


class SimpleNamespaceError(Exception):
    def __init__(self, sqlstate):
        self.sqlstate = sqlstate


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(recorder, "RETRY_S", 0)
    monkeypatch.setattr(recorder, "GATHER_S", 0)
    monkeypatch.setattr(recorder, "_CHECK_S", 0)


async def until(holds):
    for _ in range(10_000):
        if holds():
            return
        await asyncio.sleep(0)
    pytest.fail("it never held")


async def record_all(ledger, outcomes):
    writer = Recorder(owner="w", ledger=ledger)
    for each in outcomes:
        if each.in_flight:
            writer.permits.acquire(PLACE, 1)
    writer.register(outcomes)
    await writer.wait_recorded([each.lease for each in outcomes])
    await writer.close()
    return writer


@pytest.mark.parametrize("said", ["bad\0id", "\ud800"])
async def test_one_that_cannot_be_written_holds_up_no_other(said):
    ledger = Ledger()
    outcomes = [outcome(n, said if n == 5 else f"id{n}", in_flight=True) for n in range(8)]

    writer = await record_all(ledger, outcomes)

    assert sorted(ledger.recorded) == list(range(8))
    poor = ledger.recorded[5]
    assert poor.status is MessageStatus.SENT
    assert (poor.result.provider_message_id, poor.result.response) == ("", None)
    assert not any(each.lease.abandoned for each in outcomes)
    assert writer.permits.used == 0


async def test_one_that_is_refused_bare_is_left_to_its_lease_and_keeps_its_permit():
    ledger = Ledger(refuses_all_of={1})
    ledger.ours = {1}
    outcomes = [outcome(n, in_flight=True) for n in range(3)]

    writer = await record_all(ledger, outcomes)

    assert sorted(ledger.recorded) == [0, 2]
    assert [each.lease.abandoned for each in outcomes] == [False, True, False]
    assert writer.permits.used == 1  # its key stands in the journal until somebody takes it over


async def test_the_permit_of_an_abandoned_message_is_free_once_its_batch_was_taken_over():
    ledger = Ledger(refuses_all_of={1})
    ledger.ours = {1}
    writer = Recorder(owner="w", ledger=ledger)
    writer.permits.acquire(PLACE, 1)
    poor = outcome(1, in_flight=True)
    writer.register([poor])
    await writer.wait_recorded([poor.lease])
    ledger.ours = set()
    await until(lambda: not writer.permits.used)
    assert poor.lease.lost
    await writer.close()


async def test_an_abandoned_message_is_looked_after_while_others_keep_coming():
    ledger = Ledger(refuses_all_of={1})
    ledger.ours = {1}
    writer = Recorder(owner="w", ledger=ledger)
    writer.permits.acquire(PLACE, 1)
    poor = outcome(1, in_flight=True)
    writer.register([poor])
    await writer.wait_recorded([poor.lease])
    ledger.ours = set()

    for key in range(100, 200):
        writer.register([outcome(key)])  # it never waits in vain for something to do
        await asyncio.sleep(0)

    assert not writer.permits.used
    await writer.close()


async def test_a_doubt_is_ended_although_the_database_fails_and_one_row_is_gone():
    """The outcome is known already: no poll would return it again."""
    ledger = Ledger()
    ledger.settling = [OperationalError("away"), lock_timeout(), LookupError("it is gone")]
    writer = Recorder(owner="w", ledger=ledger)
    recording = Recording([])
    recording.late = [outcome(n) for n in range(3)]

    await writer.execute(recording)

    assert ledger.settled == [1, 2]
    await writer.close()


async def test_a_database_that_is_away_is_waited_for():
    ledger = Ledger(failures=3)
    outcomes = [outcome(n, in_flight=True) for n in range(3)]

    writer = await record_all(ledger, outcomes)

    assert sorted(ledger.recorded) == [0, 1, 2]
    assert writer.permits.used == 0


async def test_permits_stay_taken_while_the_record_fails():
    ledger = Ledger(failures=10**9)
    writer = Recorder(owner="w", ledger=ledger)
    writer.permits.acquire(PLACE, 3)
    writer.register([outcome(n, in_flight=True) for n in range(3)])
    for _ in range(50):
        await asyncio.sleep(0)
    assert writer.permits.used == 3
    ledger.failures = 0
    await until(lambda: not writer.permits.used)
    await writer.close()


async def test_a_commit_whose_answer_is_lost_is_read_back_before_anything_is_repeated():
    ledger = Ledger(lost=1)
    outcomes = [outcome(n, in_flight=True) for n in range(3)]

    writer = await record_all(ledger, outcomes)

    assert sorted(ledger.recorded) == [0, 1, 2]
    assert writer.permits.used == 0


async def test_a_row_that_another_has_locked_holds_up_no_other():
    ledger = Ledger(locked={2})
    progress = []
    writer = Recorder(owner="w", ledger=ledger, progress=lambda: progress.append(1))
    outcomes = [outcome(n) for n in range(5)]
    writer.register(outcomes)
    await until(lambda: len(ledger.recorded) == 4)
    assert 2 not in ledger.recorded
    before = len(progress)
    await until(lambda: len(progress) > before)  # who waits for a lock is not stuck
    ledger.locked.clear()
    await writer.wait_recorded([each.lease for each in outcomes])
    assert 2 in ledger.recorded
    await writer.close()


async def test_what_was_journalled_and_never_left_is_taken_off_the_journal():
    ledger = Ledger()
    writer = Recorder(owner="w", ledger=ledger)
    writer.permits.acquire(PLACE, 1)
    lease = held(7)
    writer.unjournal(lease, 7)
    await writer.wait_recorded([lease])
    assert ledger.taken_off == [(7, {7})]
    assert writer.permits.used == 0
    await writer.close()


class Broken(Lease):
    """A lease that cannot be distinguished from others: a fault of ours, in any layer."""

    def __hash__(self):
        raise RuntimeError("a fault of ours")


async def test_a_fault_in_recording_ends_those_who_wait_for_it():
    writer = Recorder(owner="w", ledger=Ledger(refuses_all_of={1}))
    stumbling = outcome(1, in_flight=True)
    stumbling.lease = Broken(1, "default", "email", "", 1, "1", 1, 0, isolated=False)

    writer.register([stumbling])
    stumbling.lease.unrecorded += 1
    with pytest.raises(RuntimeError, match="a fault of ours"):
        await writer.wait_recorded([stumbling.lease])

    with pytest.raises(RuntimeError, match="a fault of ours"):
        writer.check()
    await writer.close()


async def test_a_fault_that_is_not_the_databases_is_narrowed_down_too():
    class Stumbling(Ledger):
        async def __call__(self, work, *args, owner=None):
            if work is run and any(each.message.id == 2 for each in args[0].outcomes):
                raise AttributeError("a fault of ours")
            return await super().__call__(work, *args, owner=owner)

    outcomes = [outcome(n) for n in range(4)]
    ledger = Stumbling()
    await record_all(ledger, outcomes)

    assert sorted(ledger.recorded) == [0, 1, 3]
    assert [each.lease.abandoned for each in outcomes] == [False, False, True, False]


class Breaking:
    async def send(self, _provider, messages, *, on_results, **_more):
        on_results(messages[:1], [SendResult(Verdict.SENT, provider_message_id="a")])
        raise RuntimeError("a fault of ours")

    async def close(self): ...


async def test_messages_of_a_hand_over_that_breaks_off_are_in_doubt_at_once(monkeypatch):
    ledger = Ledger()
    dispatcher = Dispatcher(owner="w", database=ledger, ledger=ledger, calls=Breaking())
    dispatcher.admission = SimpleNamespace(observe=lambda *_: None, close=Breaking().close)
    monkeypatch.setattr(batches, "valid_until", lambda _leases: math.inf)
    items = [in_flight(n) for n in range(3)]
    dispatcher.permits.acquire(PLACE, 3)
    dispatcher.dispatch(items)
    await dispatcher.wait_recorded([item.lease for item in items])

    assert sorted(ledger.recorded) == [0, 1, 2]
    assert [ledger.recorded[n].result.verdict for n in range(3)] == [
        Verdict.SENT,
        Verdict.UNCERTAIN,
        Verdict.UNCERTAIN,
    ]
    assert dispatcher.permits.used == 0
    await dispatcher.close()


async def test_an_answer_that_our_code_cannot_settle_is_recorded_as_far_as_it_is_sure(monkeypatch):
    def stumble(*_args, **_more):
        raise KeyError("a fault of ours")

    monkeypatch.setattr("notifications.engine.settlement.settle", stumble)
    ledger = Ledger()
    dispatcher = Dispatcher(owner="w", database=ledger, ledger=ledger, calls=Breaking())
    items = [in_flight(n) for n in range(3)]
    dispatcher.permits.acquire(PLACE, 3)
    for item, verdict in zip(items, (Verdict.SENT, Verdict.UNCERTAIN, Verdict.RETRY), strict=True):
        item.lease.unrecorded += 1
        dispatcher._record_result(item, SendResult(verdict))
    await dispatcher.wait_recorded([item.lease for item in items])

    assert [(ledger.recorded[n].status, ledger.recorded[n].dead_code) for n in range(3)] == [
        (MessageStatus.SENT, ""),
        (MessageStatus.UNCERTAIN, "uncertain"),
        (MessageStatus.FAILED, "poison"),
    ]
    await dispatcher.close()


def test_a_hand_over_may_begin_only_while_the_leases_surely_stand(settings):
    lease = held(1)
    lease.renewed_at = 100.0
    younger = held(2)
    younger.renewed_at = 105.0
    assert batches.valid_until([lease, younger]) == pytest.approx(
        100.0 + settings.CARILLON.lease_seconds * 0.9
    )
    assert flights.BROKEN_OFF.verdict is Verdict.UNCERTAIN
