"""The rounds of rooms: what one of them misses, the next one reads and writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Event
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from notifications.features.rooms.names import Room
from notifications.realtime.rooms import loop as loops
from notifications.realtime.rooms import presence
from notifications.realtime.rooms.loop import RoomLoop
from notifications.realtime.rooms.presence import RoomFindings, RoomPlan
from notifications.realtime.rooms.table import RoomTable
from notifications.realtime.threads import Threads as RealThreads

ROOM = Room("course", 5)
T = TypeVar("T")


class Threads:
    """Runs calls at once. It fails while it is broken."""

    is_broken = False

    async def run(self, call: Callable[[], T]) -> T:
        if self.is_broken:
            raise RuntimeError("no thread is free")
        return call()


class Rows:
    """Notes the plans of the rounds. While it runs, the test may do something."""

    def __init__(self) -> None:
        self.plans: list[RoomPlan] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self.can_read = True

    def run(self, plan: RoomPlan) -> RoomFindings:
        self.plans.append(plan)
        self.meanwhile()
        if not self.can_read:
            return RoomFindings(is_written=True)
        return RoomFindings(
            is_written=True,
            processes=frozenset({1}),
            whole={room: {} for room in plan.whole},
            partly={},
        )


class Socket:
    """A member that takes what it gets."""

    transport = "socket"
    user_id = 7
    is_visible = True
    rooms: set[Room] | None = None

    def put(self, frames: Any) -> None:
        pass

    def offer(self, frames: Any) -> bool:
        return True


class Made:
    """A loop with one socket in one room, whose first round is over."""

    def __init__(self) -> None:
        self.now = 100.0
        self.rows = Rows()
        self.threads = Threads()
        self.hub: Any = SimpleNamespace(people={})
        self.table = RoomTable()
        self.table.add(Socket(), ROOM, {})  # type: ignore[arg-type]  # a socket of the test
        self.loop = RoomLoop(self.hub, self.table, self.threads)  # type: ignore[arg-type]
        self.loop._rows = self.rows  # type: ignore[assignment]
        self.round()

    def round(self) -> RoomPlan:
        """Runs a round a second later; returns its plan."""
        self.now += 1.0
        asyncio.run(self.loop._round(self.now))
        return self.rows.plans[-1]


@pytest.fixture
def made() -> Made:
    return Made()


def test_rooms_are_read_as_a_whole_once_in_a_while(made: Made) -> None:
    assert made.rows.plans[0].whole == {ROOM}
    assert made.round().whole == set()
    made.now += loops.RECONCILE_S
    assert made.round().whole == {ROOM}
    assert made.round().whole == set()


def test_a_request_to_read_all_that_comes_while_rooms_are_read_is_done_next(made: Made) -> None:
    made.now += loops.RECONCILE_S
    made.rows.meanwhile = lambda: made.loop.note_change(None)
    assert made.round().whole == {ROOM}
    made.rows.meanwhile = lambda: None
    assert made.round().whole == {ROOM}, "what changed meanwhile may have been missed"
    assert made.round().whole == set()


def test_a_whole_read_that_failed_is_repeated(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "MOST_CHANGED", 1)
    made.rows.can_read = False
    made.loop.note_change([1, 2])
    assert made.round().whole == {ROOM}
    monkeypatch.setattr(loops, "MOST_CHANGED", 5_000)
    made.rows.can_read = True
    again = made.round()
    assert (again.whole, again.changed) == ({ROOM}, {1, 2})
    assert made.round().whole == set()


def test_a_round_that_fails_is_done_by_the_next(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.hub.people[7] = SimpleNamespace(members=[Socket()])
    made.loop._dirty.add(7)
    made.loop.note_change([1])
    with monkeypatch.context() as broken:
        broken.setattr(made.table, "apply", _fail)
        with pytest.raises(RuntimeError):
            made.round()
    made.threads.is_broken = True
    with pytest.raises(RuntimeError):
        made.round()
    made.threads.is_broken = False
    again = made.round()
    assert again.whole == {ROOM}
    assert {1} <= again.changed
    assert made.loop._written == {7: True}
    assert made.loop._dirty == set()


def _fail(*_given: Any, **_more: Any) -> None:
    raise RuntimeError("no frame")


def test_active_people_are_seen_when_the_lease_is_renewed(made: Made) -> None:
    made.hub.people[7] = SimpleNamespace(members=[Socket()])
    made.loop._dirty.add(7)
    made.now += loops.RENEW_S
    made.loop._renewed_at = made.now
    assert made.round().seen == {7}
    assert made.round().seen == set()
    made.now += loops.RENEW_S
    plan = made.round()
    assert (plan.renews, plan.seen) == (True, {7})


def test_rooms_are_read_for_people_only_when_some_changed(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[set[Room]] = []

    def online_in(rooms: Any, **_more: Any) -> dict[Room, dict[int, bool]]:
        read.append(set(rooms))
        return {room: {} for room in rooms}

    monkeypatch.setattr(presence, "live_processes", lambda: frozenset({1}))
    monkeypatch.setattr(presence, "online_in", online_in)
    monkeypatch.setattr(presence, "allowed", lambda _pairs: set())
    quiet = made.round()
    assert (quiet.partly, quiet.changed) == ({ROOM}, set())
    presence._read(quiet, found := RoomFindings())
    assert (read, found.partly) == ([set(), set()], {})
    made.loop.note_change([1])
    presence._read(made.round(), RoomFindings())
    assert read[2:] == [set(), {ROOM}]


def test_a_process_that_ends_waits_until_its_rows_are_gone() -> None:
    free, gone = Event(), Event()
    made = RoomLoop(SimpleNamespace(people={}), RoomTable(), RealThreads("rooms", 1, waiting=0))  # type: ignore[arg-type]
    made._rows = SimpleNamespace(end=lambda: free.wait(60) and gone.set())  # type: ignore[assignment]
    made.await_end(60)  # nothing was begun
    made.end()
    made.await_end(0)
    assert not gone.is_set()

    free.set()
    made.await_end(60)
    assert gone.is_set()
