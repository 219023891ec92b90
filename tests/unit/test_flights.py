"""What comes down is recorded, whatever a provider said and whatever the database will not have."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from django.db import DataError, OperationalError

from notifications.delivery.handover import Handover
from notifications.domain.channels import Lane
from notifications.domain.lifecycle import MessageStatus
from notifications.domain.messages import SendResult, Verdict
from notifications.flights import Desk
from notifications.queue.leases import Lease
from notifications.recording.outcomes import Outcome
from notifications.slices import Ready

AT = datetime(2026, 11, 23, tzinfo=UTC)


def held(key):
    return Lease(key, "default", "email", "", 1, str(key), 1, 0, isolated=False)


def outcome(key, said=""):
    lease = held(key)
    message = SimpleNamespace(id=key)
    result = SendResult(Verdict.SENT, provider_message_id=said, response={"text": said})
    return Outcome(lease, message, MessageStatus.SENT, "", AT, 1, result=result)


def flying(key):
    lease = held(key)
    message = SimpleNamespace(id=key, attempts=0)
    sent = SimpleNamespace(message_id=key, recipient="a")
    facts = SimpleNamespace(resends=True)
    return Ready(lease, message, sent, "fcm", facts)


class Ledger:
    """Records in memory; refuses what holds a NUL, and fails as often as told."""

    def __init__(self, *, failures=0, refuses_all_of=()):
        self.recorded, self.failures, self.refuses = {}, failures, refuses_all_of

    async def __call__(self, _work, outcomes, *, owner):
        if self.failures:
            self.failures -= 1
            raise OperationalError("the database is away")
        for each in outcomes:
            if "\0" in each.result.provider_message_id or each.message.id in self.refuses:
                raise DataError("no NUL")
            if not each.result.provider_message_id.isascii():
                each.result.provider_message_id.encode()
        self.recorded.update({each.message.id: each for each in outcomes})


@pytest.fixture
def desk_over(monkeypatch):
    monkeypatch.setattr("notifications.flights._RETRY_S", 0)
    monkeypatch.setattr("notifications.flights._GATHER_S", 0)

    def make(ledger):
        return Desk(owner="w", database=ledger, ledger=ledger, handover=Handover())

    return make


async def record_all(desk, outcomes):
    desk.note(outcomes)
    await desk.landed([each.lease for each in outcomes])
    await desk.close()


@pytest.mark.parametrize("said", ["bad\0id", "\ud800"])
async def test_one_that_cannot_be_written_holds_up_no_other(desk_over, said):
    ledger = Ledger()
    outcomes = [outcome(n, said if n == 5 else f"id{n}") for n in range(8)]

    await record_all(desk_over(ledger), outcomes)

    assert sorted(ledger.recorded) == list(range(8))
    poor = ledger.recorded[5]
    assert poor.status is MessageStatus.SENT
    assert (poor.result.provider_message_id, poor.result.response) == ("", None)
    assert not any(each.lease.lost for each in outcomes)


async def test_one_that_is_refused_bare_is_left_to_its_lease(desk_over):
    ledger = Ledger(refuses_all_of={1})
    outcomes = [outcome(n) for n in range(3)]

    await record_all(desk_over(ledger), outcomes)

    assert sorted(ledger.recorded) == [0, 2]
    assert [each.lease.lost for each in outcomes] == [False, True, False]


async def test_a_database_that_is_away_is_waited_for(desk_over):
    ledger = Ledger(failures=3)
    outcomes = [outcome(n) for n in range(3)]

    await record_all(desk_over(ledger), outcomes)

    assert sorted(ledger.recorded) == [0, 1, 2]


class Broken(Lease):
    """A lease that cannot be noted as lost: a fault of ours, wherever it may hide."""

    def __hash__(self):
        raise RuntimeError("a fault of ours")


async def test_a_fault_in_recording_ends_those_who_wait_for_it(desk_over):
    desk = desk_over(Ledger(refuses_all_of={1}))
    stumbling = outcome(1)
    stumbling.lease = Broken(1, "default", "email", "", 1, "1", 1, 0, isolated=False)
    stumbling.lease.journal.add(1)

    desk.note([stumbling])
    with pytest.raises(RuntimeError, match="a fault of ours"):
        await desk.landed([stumbling.lease])

    with pytest.raises(RuntimeError, match="a fault of ours"):
        desk.check()
    await desk.close()


async def test_a_fault_that_is_not_the_databases_is_narrowed_down_too(desk_over):
    class Stumbling(Ledger):
        async def __call__(self, work, outcomes, *, owner):
            if any(each.message.id == 2 for each in outcomes):
                raise AttributeError("a fault of ours")
            await super().__call__(work, outcomes, owner=owner)

    outcomes = [outcome(n) for n in range(4)]
    ledger = Stumbling()
    await record_all(desk_over(ledger), outcomes)

    assert sorted(ledger.recorded) == [0, 1, 3]
    assert [each.lease.lost for each in outcomes] == [False, False, True, False]


async def test_messages_of_a_flight_that_breaks_off_are_left_to_their_lease(desk_over):
    class Breaking:
        async def hand_over(self, _provider, messages, *, on_results, **_more):
            on_results(messages[:1], [SendResult(Verdict.SENT, provider_message_id="a")])
            raise RuntimeError("a fault of ours")

        async def close(self): ...

    ledger = Ledger()
    desk = desk_over(ledger)
    desk._handover = Breaking()
    desk.gates = SimpleNamespace(saw=lambda *_: None, close=Breaking().close)
    items = [flying(n) for n in range(3)]
    desk.deadline = lambda _leased_at: math.inf
    await desk.permits.take(3, lane=Lane.DEFAULT, channel="push", least=3)
    desk._fly_all(items, lane=Lane.DEFAULT, channel="push")
    await desk.landed([item.lease for item in items])

    assert sorted(ledger.recorded) == [0]
    assert [item.lease.lost for item in items] == [False, True, True]
    assert desk.permits.used == 0
    await desk.close()
