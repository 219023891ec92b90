"""What comes down is recorded, whatever a provider said and whatever the database will not have."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from django.db import DataError, OperationalError

from notifications.delivery.handover import Handover
from notifications.domain.lifecycle import MessageStatus
from notifications.domain.messages import SendResult, Verdict
from notifications.flights import Desk
from notifications.recording.outcomes import Outcome

AT = datetime(2026, 11, 23, tzinfo=UTC)


def outcome(key, said=""):
    lease = SimpleNamespace(unrecorded=0, lost=False)
    message = SimpleNamespace(id=key)
    result = SendResult(Verdict.SENT, provider_message_id=said, response={"text": said})
    return Outcome(lease, message, MessageStatus.SENT, "", AT, 1, result=result)


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
