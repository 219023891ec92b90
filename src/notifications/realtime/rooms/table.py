"""The table from rooms to the sockets that joined them, and who of each room is connected."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from notifications.features.rooms.names import Room
from notifications.realtime import metrics
from notifications.realtime.frames import Frame
from notifications.realtime.members import Member

MOST_PEOPLE = 500
"""A room with more people connected gets numbers, and no names."""


class JoinedRoom:
    """A room that a socket of this process has joined."""

    __slots__ = ("behind", "is_fresh", "members", "online")

    def __init__(self, online: dict[int, bool]) -> None:
        self.members: dict[Member, None] = {}
        #: Who of its people is connected, anywhere: user id -> whether active.
        self.online = online
        #: Whether it must be read as a whole once more: changes may have been missed before.
        self.is_fresh = True
        #: Members that missed a frame of presence.
        self.behind: set[Member] = set()


class RoomTable:
    """All state belongs to the event loop."""

    def __init__(self) -> None:
        self.rooms: dict[Room, JoinedRoom] = {}

    def add(self, member: Member, room: Room, online: dict[int, bool]) -> None:
        """Adds a socket to a room, and tells it who is connected.

        Args:
            online: who of the room is, if this is its first socket.
        """
        joined = self.rooms.get(room)
        if joined is None:
            joined = self.rooms[room] = JoinedRoom(online)
            metrics.ROOMS.inc()
        if member not in joined.members:
            joined.members[member] = None
            member.rooms = member.rooms or set()
            member.rooms.add(room)
            metrics.JOINED.inc()
        member.put([_complete_frame(room, joined.online)])

    def remove(self, member: Member, room: Room) -> None:
        """Removes a socket from a room; does nothing where it is not in it."""
        joined = self.rooms.get(room)
        if joined is None or member not in joined.members:
            return
        del joined.members[member]
        joined.behind.discard(member)
        if member.rooms is not None:
            member.rooms.discard(room)
        metrics.JOINED.dec()
        if not joined.members:
            del self.rooms[room]
            metrics.ROOMS.dec()

    def forget(self, member: Member) -> None:
        """Removes a socket from all rooms."""
        for room in tuple(member.rooms or ()):
            self.remove(member, room)

    def dropped(self, member: Member) -> None:
        """Notes that a socket lost frames: it gets again who is connected."""
        for room in member.rooms or ():
            self.rooms[room].behind.add(member)

    def pairs(self) -> set[tuple[int, Room]]:
        """Returns who is in which room."""
        return {
            (member.user_id, room)
            for room, joined in self.rooms.items()
            for member in joined.members
        }

    def apply(
        self,
        found: Mapping[Room, dict[int, bool]],
        changed: Collection[int] | None,
        *,
        is_whole: bool = False,
    ) -> None:
        """Takes who of some rooms is connected, and tells their sockets what changed.

        Args:
            changed: `found` is about these people only; None: about all.
            is_whole: nothing was missed before `found` was read.
        """
        for room, online in found.items():
            joined = self.rooms.get(room)
            if joined is None:
                continue
            people = joined.online.keys() | online.keys() if changed is None else changed
            came = {
                user_id: online[user_id]
                for user_id in people
                if user_id in online and joined.online.get(user_id) is not online[user_id]
            }
            left = [each for each in people if each in joined.online and each not in online]
            joined.online.update(came)
            for user_id in left:
                del joined.online[user_id]
            joined.is_fresh = joined.is_fresh and not is_whole
            if came or left:
                frame = _change_frame(room, joined.online, came, left)
                joined.behind |= send_to(joined.members, frame)

    def catch_up(self) -> None:
        """Tells those who missed frames of presence who is connected."""
        for room, joined in self.rooms.items():
            if joined.behind:
                behind, joined.behind = joined.behind, set()
                joined.behind |= send_to(behind, _complete_frame(room, joined.online))


def send_to(members: Iterable[Member], frame: Frame, excluded: Collection[int] = ()) -> set[Member]:
    """Gives a frame that may be lost to connections, except those of some people and polls.

    Returns those that missed it.
    """
    given = 0
    missed: set[Member] = set()
    for member in members:
        if member.user_id in excluded or member.transport == "poll":
            continue
        if member.offer((frame,)):
            given += 1
        else:
            missed.add(member)
    metrics.EPHEMERAL.labels("given").inc(given)
    metrics.EPHEMERAL.labels("dropped").inc(len(missed))
    return missed


def _complete_frame(room: Room, online: Mapping[int, bool]) -> Frame:
    """Returns the frame that says who is connected."""
    people = online if len(online) <= MOST_PEOPLE else {}
    is_complete = len(online) <= MOST_PEOPLE
    return Frame("presence", _data(room, online, people, [], is_complete=is_complete))


def _change_frame(
    room: Room, online: Mapping[int, bool], came: Mapping[int, bool], left: list[int]
) -> Frame:
    """Returns the frame that says what changed; who is connected, where it had no names."""
    if len(online) + len(left) > MOST_PEOPLE:  # at least as many as were connected before
        return _complete_frame(room, online)
    return Frame("presence", _data(room, online, came, sorted(left), is_complete=False))


def _data(
    room: Room,
    online: Mapping[int, bool],
    people: Mapping[int, bool],
    left: list[int],
    *,
    is_complete: bool,
) -> dict[str, Any]:
    return {
        "room": room.name,
        "online": len(online),
        "people": [{"user_id": each, "active": people[each]} for each in sorted(people)],
        "left": left,
        "is_complete": is_complete,
    }
