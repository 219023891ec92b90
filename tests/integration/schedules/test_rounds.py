"""When the rounds of schedules run, with and without beat, and how a worker waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from celery.schedules import crontab

from carillon.celery import app
from notifications import tasks
from notifications.engine.worker import Worker
from notifications.features.upkeep import rounds as schedule_rounds
from notifications.features.upkeep.rounds import ScheduleRounds
from notifications.infra import clock
from notifications.queue import batches
from notifications.scheduler import NotificationScheduler
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db


def test_beat_knows_the_documented_periods() -> None:
    found = {
        entry["task"].removeprefix("notifications.tasks."): entry["schedule"]
        for name, entry in app.conf.beat_schedule.items()
        if name.endswith("-notifications")
    }

    assert found == {
        "process_scheduled_notifications": crontab(minute="*"),
        "retry_failed_notifications": crontab(minute="*/5"),
        "cleanup_cancelled_notifications": crontab(hour="3", minute="0"),
    }
    for name in found:
        assert getattr(tasks, name).name == f"notifications.tasks.{name}"


def test_without_beat_the_rounds_run_at_the_same_times(monkeypatch: Any) -> None:
    done: dict[str, list[datetime]] = {}
    for name in ("process_due", "retry_all_stuck", "clean_up_cancelled"):
        done[name] = []
        monkeypatch.setattr(schedule_rounds, name, lambda *, now, at=done[name]: at.append(now))
    start = datetime(2030, 5, 1, 2, 50, 30, tzinfo=UTC)

    rounds = ScheduleRounds()
    for second in range(15 * 60):
        rounds.run_due(start + timedelta(seconds=second))

    minutes = [start + timedelta(seconds=30 + 60 * number) for number in range(15)]
    assert done["process_due"] == [start, *minutes]
    assert done["retry_all_stuck"] == [
        start,
        datetime(2030, 5, 1, 2, 55, tzinfo=UTC),
        datetime(2030, 5, 1, 3, 0, tzinfo=UTC),
        datetime(2030, 5, 1, 3, 5, tzinfo=UTC),
    ]
    assert done["clean_up_cancelled"] == [datetime(2030, 5, 1, 3, 0, tzinfo=UTC)]


def test_a_round_that_fails_runs_again_at_the_next_check(monkeypatch: Any) -> None:
    tries: list[datetime] = []

    def fail(*, now: datetime) -> None:
        tries.append(now)
        raise OSError("away")

    monkeypatch.setattr(schedule_rounds, "process_due", fail)
    start = datetime(2030, 5, 1, tzinfo=UTC)
    rounds = ScheduleRounds()
    for second in range(3):
        with pytest.raises(OSError, match="away"):
            rounds.run_due(start + timedelta(seconds=second))

    assert len(tries) == 3


def schedule(minutes: float) -> None:
    at = clock.now() + timedelta(minutes=minutes)
    NotificationScheduler().schedule_notification([make_user().pk], "T", "M", at)


def test_the_next_due_batch_is_the_earliest_waiting_one(frozen: Any) -> None:
    assert batches.next_due(["default"], now=clock.now()) is None
    schedule(20)
    schedule(10)

    assert batches.next_due(["default"], now=clock.now()) == clock.now() + timedelta(minutes=10)
    assert batches.next_due(["critical", "high"], now=clock.now()) is None
    frozen.forward(600)
    assert batches.next_due(["default"], now=clock.now()) == clock.now() + timedelta(minutes=10)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("poll", "minutes", "pause"),
    [
        (60, 0.5, 30.0),  # polls are far apart: it wakes when the batch is due
        (60, 0.01, 0.6),
        (60, 5, 60.0),
        (0.25, 0.5, 0.25),  # frequent polls need no query
    ],
)
def test_a_worker_wakes_when_a_batch_is_due(
    frozen: Any, override_environment: Any, poll: float, minutes: float, pause: float
) -> None:
    override_environment(poll_seconds=poll)
    schedule(minutes)
    pauses: list[float] = []

    class Watched(Worker):
        async def _pause(self, seconds: float) -> None:
            pauses.append(seconds)
            self.stop()

    async_to_sync(Watched(lanes=None).main)()

    assert pauses == [pytest.approx(pause)]
