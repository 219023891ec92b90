"""A worker that could work and does not ends itself; one that has a reason to wait does not."""

from __future__ import annotations

from typing import Any

import pytest

from notifications.domain.channels import Lane
from notifications.engine import watchdog as module
from notifications.engine.watchdog import EXIT_CODE, STUCK_S, Watchdog, WorkerActivity
from notifications.infra import clock

BUSY = WorkerActivity(runs=1, waiting=0, calls=[], closed_channels={})
IDLE = WorkerActivity(runs=0, waiting=0, calls=[], closed_channels={})


class Rows:
    """Stands in for the list of workers."""

    def __init__(self) -> None:
        self.updated: dict[str, Any] = {}

    def filter(self, **_: Any) -> Rows:
        return self

    def update(self, **values: Any) -> None:
        self.updated = values


class Watched:
    def __init__(self, monkeypatch: Any) -> None:
        self.now, self.doing, self.due = 1000.0, BUSY, set[str]()
        self.rows = Rows()
        self.ended: list[int] = []
        self.due_by: list[Any] = []
        self.asked: list[tuple[str, list[str], list[str]]] = []
        monkeypatch.setattr(clock, "monotonic", lambda: self.now)
        monkeypatch.setattr(module.WorkerProcess, "objects", self.rows)
        monkeypatch.setattr(module.faulthandler, "dump_traceback", lambda _file: None)
        monkeypatch.setattr(module, "load_stops", module.load_stops.__globals__["Stops"])
        monkeypatch.setattr(module.batches, "may_lease", self.may_lease)
        monkeypatch.setattr(
            module.batches, "find_due", lambda lanes: {lane: ["x"] for lane in lanes}
        )
        self.dog = Watchdog(
            owner="w", lanes=list(Lane), activity=lambda: self.doing, end=self.ended.append
        )

    def may_lease(self, lane: str, channels: Any, sources: Any, *, now: Any) -> bool:
        self.asked.append((lane, list(channels), list(sources)))
        self.due_by.append(now)
        return lane in self.due

    def live(self, seconds: float) -> None:
        """Time passes, with a good beat each three seconds."""
        for _ in range(int(seconds // 3)):
            self.now += 3
            self.dog.check()


@pytest.fixture
def watched(monkeypatch: Any) -> Watched:
    return Watched(monkeypatch)


def test_a_run_without_progress_for_half_a_minute_ends_the_process(watched: Watched):
    watched.live(STUCK_S)
    assert watched.ended == []
    watched.live(6)
    assert watched.ended[0] == EXIT_CODE
    assert "no progress" in watched.rows.updated["ended_reason"]


def test_progress_starts_the_time_anew(watched: Watched):
    for _ in range(5):
        watched.live(STUCK_S - 6)
        watched.dog.progress()
    assert watched.ended == []


def test_a_provider_call_inside_its_timeout_is_waited_for(watched: Watched, settings: Any):
    watched.doing = BUSY._replace(calls=[watched.now + 20])
    watched.live(settings.CARILLON.provider_timeout_seconds + 18)
    assert watched.ended == []
    watched.live(STUCK_S + 15)
    assert watched.ended


def test_runs_that_wait_for_limits_are_not_stuck(watched: Watched):
    watched.doing = BUSY._replace(waiting=1)
    watched.live(300)
    assert watched.ended == []


def test_an_idle_worker_is_not_stuck(watched: Watched):
    watched.doing = IDLE
    watched.live(300)
    assert watched.ended == []


def test_a_due_batch_that_no_one_leases_ends_the_process(watched: Watched):
    watched.doing, watched.due = IDLE, {"bulk"}
    watched.live(STUCK_S + 6)
    assert watched.ended
    assert "lane bulk" in watched.rows.updated["ended_reason"]


def test_what_falls_due_after_a_long_rest_is_no_standstill(watched: Watched):
    watched.doing = IDLE
    for _ in range(5):
        watched.live(300)
        watched.due = {"bulk"}
        watched.live(STUCK_S - 3)
        watched.due = set()

    assert watched.ended == []


def test_a_channel_that_opens_after_a_long_time_is_no_standstill(watched: Watched):
    watched.due, watched.doing = set(), BUSY._replace(waiting=1)
    watched.live(300)
    watched.doing = BUSY
    watched.live(STUCK_S)
    assert watched.ended == []


def test_a_batch_counts_that_was_due_all_the_time(watched: Watched):
    """Others take what falls due, one after the other, and this worker comes too late each time."""
    watched.doing, watched.due = IDLE, {"bulk"}
    watched.live(STUCK_S)

    assert len(set(watched.due_by)) == 1


def test_channels_that_are_held_are_not_asked_for(watched: Watched):
    watched.doing = IDLE._replace(closed_channels={Lane.BULK: ["sms"]})
    watched.live(STUCK_S + 3)
    assert ("bulk", ["sms"], []) in watched.asked


def test_an_outage_of_the_database_is_no_standstill(watched: Watched):
    watched.live(15)
    watched.now += 120  # no beat reached the database
    watched.live(STUCK_S)
    assert watched.ended == []
    watched.live(9)
    assert watched.ended
