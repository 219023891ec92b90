"""Decides who may join which room: the joins that arrive meanwhile are decided together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import NamedTuple

from notifications.domain.errors import Refused
from notifications.features.rooms.access import allowed, forbidden
from notifications.features.rooms.names import Room, RoomRef, find_rooms
from notifications.features.rooms.presence import live_processes, online_in
from notifications.realtime.gathered import Gathered
from notifications.realtime.threads import Threads

AT_ONCE = 500


class Opened(NamedTuple):
    """A room that a person may join."""

    room: Room
    #: Who of the room is connected; empty where the process knew it already.
    online: dict[int, bool]


class Joins:
    """Decides in groups, one group at a time: some statements for each."""

    def __init__(
        self, threads: Threads, *, waiting: int, known: Callable[[], Collection[Room]]
    ) -> None:
        """Creates it.

        Args:
            waiting: the most joins that wait for their group.
            known: the rooms of this process, of which it knows who is connected.
        """
        self._threads = threads
        self._known = known
        self._gathered = Gathered(self._decide, at_once=AT_ONCE, waiting=waiting)

    async def open(self, user_id: int, ref: RoomRef) -> Opened:
        """Returns a room that a person may join.

        Raises:
            Refused: room_forbidden. Overloaded: too many joins wait.
            Exception: the database does not answer.
        """
        return await self._gathered.answer((user_id, ref))

    async def _decide(self, asked: list[tuple[int, RoomRef]]) -> Sequence[Opened | Refused]:
        return await self._threads.run(partial(_opened, asked, frozenset(self._known())))


def _opened(asked: list[tuple[int, RoomRef]], known: Collection[Room]) -> list[Opened | Refused]:
    """Decides about a group, in the thread."""
    rooms = find_rooms({ref for _, ref in asked})
    pairs = [(user_id, rooms.get(ref)) for user_id, ref in asked]
    good = allowed({(user_id, room) for user_id, room in pairs if room is not None})
    fresh = {room for _, room in good if room not in known}
    online = online_in(fresh, processes=live_processes()) if fresh else {}
    return [
        Opened(room, dict(online.get(room, {})))
        if room is not None and (user_id, room) in good
        else forbidden()
        for user_id, room in pairs
    ]
