"""The probe of the periodic loops finds work wherever a round would find it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from notifications.domain import loops
from notifications.domain.loops import LOOPS
from notifications.features.background.loops import LoopRunner
from notifications.features.background.work_probe import WorkProbe
from notifications.features.upkeep.rounds import ScheduleRounds, loop_conditions
from notifications.infra import clock
from notifications.infra.database.clock_bridge import database_now
from notifications.models import (
    Broadcast,
    BroadcastChange,
    ProviderCallback,
    QueuedTask,
    WebhookEndpoint,
)
from notifications.queue import batches
from tests.integration.statements import Statements

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


def probe() -> WorkProbe:
    rounds = ScheduleRounds()
    rounds.process._done = rounds.retry._done = rounds.clean_up._done = 1 << 40
    return WorkProbe(loop_conditions(rounds))


def found() -> set[str]:
    names = [spec.name for spec in LOOPS]
    clocked = {loops.SCHEDULED.name, loops.STUCK.name, loops.CANCELLED.name}
    return probe().find(names, database_now()) - clocked


def broadcast(**values: Any) -> Broadcast:
    return Broadcast.objects.create(title="t", message="m", channels=["in_app"], **values)


def task(now: datetime, **values: Any) -> None:
    QueuedTask.objects.create(name="x", task_id="t", created_at=now, due_at=now, **values)


def endpoint(now: datetime, **values: Any) -> None:
    WebhookEndpoint.objects.create(
        url="https://example.org/h", created_at=now, updated_at=now, **values
    )


def batch(expires_at: datetime) -> None:
    made = batches.batches_of(
        lane="bulk", channel="email", source="key:1", due_at=None, keys=[1], expires_at=expires_at
    )
    batches.insert(made)


WORK: dict[str, tuple[str, Callable[[datetime], object]]] = {
    "a callback": (
        "receipts",
        lambda now: ProviderCallback.objects.store(
            provider="ses", digest="d", call={}, at=now - SECOND
        ),
    ),
    "a broadcast that is sent": ("broadcasts", lambda now: broadcast(status="sending")),
    "a broadcast with receipts": ("broadcasts", lambda now: broadcast(status="sent")),
    "a cancellation": ("broadcasts", lambda now: broadcast(status="cancelled", cleared=False)),
    "a change": (
        "broadcasts",
        lambda now: BroadcastChange.objects.append([(broadcast().source, 1)]),
    ),
    "a due broadcast": (
        "scheduled broadcasts",
        lambda now: broadcast(status="scheduled", scheduled_at=now - SECOND),
    ),
    "an endpoint": ("status webhooks", endpoint),
    "a message that expires": ("expiring messages", lambda now: batch(now - SECOND)),
    "a task": ("queued tasks", lambda now: task(now - SECOND)),
}


@pytest.mark.parametrize("name", WORK)
def test_work_is_found(name: str) -> None:
    loop, make = WORK[name]
    make(database_now())
    assert loop in found()


def test_an_idle_service_has_no_work() -> None:
    now = database_now()
    broadcast(status="scheduled", scheduled_at=now + timedelta(hours=1))
    broadcast(status="completed")
    batch(now + timedelta(hours=1))
    task(now + timedelta(hours=1))
    endpoint(now, hold_until=now + timedelta(hours=1))
    idle = probe()
    idle.find([spec.name for spec in LOOPS], now)
    with Statements() as made:
        assert idle.find([loops.RECEIPTS.name, loops.BROADCASTS.name], now) == set()
    assert len(made) == 1
    assert found() == set()


def test_a_statement_is_compiled_once_and_takes_the_present_time(frozen: Any) -> None:
    ProviderCallback.objects.store(provider="ses", digest="d", call={}, at=database_now() + SECOND)
    one = probe()
    assert one.find(["receipts"], database_now()) == set()
    frozen.forward(2)
    assert one.find(["receipts"], database_now()) == {"receipts"}


def test_a_loop_without_work_rests_and_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = LoopRunner({"receipts": int}, owner="only", probe=probe())
    monkeypatch.setattr(runner, "owns", lambda name: True)
    loop = runner._loops["receipts"]
    loop.finished_at = ended = clock.monotonic()
    runner.probe()
    assert loop.finished_at > ended
    assert not loop._poked.is_set()
    ProviderCallback.objects.store(provider="ses", digest="d", call={}, at=database_now())
    runner.probe()
    assert loop._poked.is_set()
