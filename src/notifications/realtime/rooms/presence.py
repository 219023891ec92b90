"""What a round of rooms reads and writes: the people of this process, and those of its rooms.

It runs in a thread. Its values come from the event loop, and go back to it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import structlog

from notifications.features.rooms.access import allowed
from notifications.features.rooms.names import Room
from notifications.features.rooms.payloads import send_presence
from notifications.features.rooms.presence import (
    LeaseLost,
    begin_lease,
    end_expired,
    end_lease,
    live_processes,
    note_last_seen,
    online_in,
    renew_lease,
    write_people,
)
from notifications.infra.process.identity import own_name

log = structlog.get_logger("carillon.realtime")


@dataclass(slots=True, kw_only=True)
class RoomPlan:
    """What a round is to do."""

    #: People whose state changed: user id -> whether active; None for who has left.
    states: Mapping[int, bool | None]
    #: People who are seen now.
    seen: Collection[int]
    #: Whether anybody is connected to this process.
    is_occupied: bool
    renews: bool
    #: Rooms to read as a whole.
    whole: Collection[Room]
    #: Rooms to read for the people who changed.
    partly: Collection[Room]
    changed: Collection[int]
    #: Who is in which room, to be checked again.
    pairs: Collection[tuple[int, Room]]
    #: The processes that lived at the round before.
    processes: frozenset[int]

    @property
    def has_work(self) -> bool:
        """Whether there is anything to read or to write."""
        return bool(self.states or self.seen or self.renews or self.whole or self.partly)


@dataclass(slots=True)
class RoomFindings:
    """What a round found. None: it was not read, or reading failed."""

    is_written: bool = False
    lost_lease: bool = False
    processes: frozenset[int] | None = None
    whole: dict[Room, dict[int, bool]] | None = None
    partly: dict[Room, dict[int, bool]] | None = None
    good: set[tuple[int, Room]] | None = None


class PresenceRows:
    """The rows of this process."""

    def __init__(self) -> None:
        self.process_id: int | None = None

    def run(self, plan: RoomPlan) -> RoomFindings:
        """Writes, reads and checks. A part that fails is repeated by the next round."""
        found = RoomFindings()
        try:
            self._write(plan)
            found.is_written = True
        except LeaseLost:
            self.process_id = None
            found.lost_lease = True
        except Exception as error:
            log.warning("presence.write_failed", error=type(error).__name__)
        try:
            _read(plan, found)
        except Exception as error:
            log.warning("presence.read_failed", error=type(error).__name__)
        return found

    def end(self) -> None:
        """Removes the rows: nothing is connected to this process any more."""
        process_id, self.process_id = self.process_id, None
        if process_id is None:
            return
        try:
            end_lease(process_id)
        except Exception as error:  # the lease ends by itself
            log.warning("presence.write_failed", error=type(error).__name__)

    def _write(self, plan: RoomPlan) -> None:
        if plan.is_occupied and self.process_id is None:
            self.process_id = begin_lease(own_name("web"))
        process_id = self.process_id
        if process_id is not None:
            if not plan.is_occupied:
                end_lease(process_id)
                self.process_id = None
            elif plan.states:
                write_people(process_id, plan.states)
            if plan.renews and plan.is_occupied:
                renew_lease(process_id)
                end_expired()
        if plan.seen:
            note_last_seen(plan.seen)
        if plan.states:
            send_presence(plan.states)


def _read(plan: RoomPlan, found: RoomFindings) -> None:
    rooms = {*plan.whole, *plan.partly}
    if rooms:
        found.processes = live_processes()
        whole = set(plan.whole) if found.processes == plan.processes else rooms
        found.whole = online_in(whole, processes=found.processes)
        partly = rooms - whole if plan.changed else ()
        found.partly = online_in(partly, processes=found.processes, user_ids=plan.changed)
    if plan.pairs:
        found.good = allowed(plan.pairs)
