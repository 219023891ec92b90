"""Takes the room frames of clients, and what other processes send to rooms."""

from __future__ import annotations

from collections.abc import Collection

import structlog

from notifications.domain.errors import InvalidRequest, Refused
from notifications.features.rooms.names import Room, RoomRef, read_room, room_of_group
from notifications.features.rooms.payloads import (
    NOTIFICATION,
    PRESENCE,
    GroupMessage,
    PresenceChange,
    read_payload,
)
from notifications.realtime import metrics
from notifications.realtime.commands import ClientFrame
from notifications.realtime.frames import Frame
from notifications.realtime.hub import Hub
from notifications.realtime.limits import ConnectionLimits
from notifications.realtime.members import Member
from notifications.realtime.rooms.joins import Joins
from notifications.realtime.rooms.loop import RoomLoop
from notifications.realtime.rooms.table import RoomTable, send_to
from notifications.realtime.threads import Threads

log = structlog.get_logger("carillon.realtime")
ROOM_FRAMES = ("join_room", "leave_room", "active")
_FRAMES = {NOTIFICATION: "notification", PRESENCE: "presence"}


class RoomDispatcher:
    """The rooms of a process. All state belongs to the event loop."""

    def __init__(self, hub: Hub, limits: ConnectionLimits) -> None:
        self.table = RoomTable()
        self._hub = hub
        self._limits = limits
        self._threads = Threads("rooms", 2, waiting=0)
        self._joins = Joins(self._threads, waiting=limits.connections, known=self._known)
        self.loop = RoomLoop(hub, self.table, self._threads)
        self._is_closing = False
        hub.watcher = self

    def entered(self, member: Member) -> None:
        """Notes a new connection."""
        if member.transport != "poll":  # a poll comes and goes each few seconds
            self.loop.note(member.user_id)

    def left(self, member: Member) -> None:
        """Notes that a connection has ended."""
        if member.transport != "poll":
            self.table.forget(member)
            self.loop.note(member.user_id)
            self._end_if_empty()

    def take(self, text: str) -> None:
        """Takes what a process sent."""
        try:
            found = read_payload(text)
        except ValueError:
            log.warning("inbox.frame_unreadable")
            return
        if isinstance(found, PresenceChange):
            self.loop.note_change(found.user_ids)
        else:
            self._deliver(found)

    def dropped(self, member: Member) -> None:
        """Notes that frames of a connection were dropped."""
        self.table.dropped(member)

    def close(self) -> None:
        """Notes that the process ends: its rows of presence go with its last connection."""
        self._is_closing = True
        self._end_if_empty()

    def _end_if_empty(self) -> None:
        if self._is_closing and not self._hub.people:
            self.loop.end()

    def await_end(self, seconds: float) -> None:
        """Waits after `close` until the rows of presence are gone, at most so many seconds."""
        self.loop.await_end(seconds)

    def shutdown(self) -> None:
        """Ends the loop and its threads, and removes the rows of presence."""
        self.loop.shutdown()

    def _known(self) -> Collection[Room]:
        return self.table.rooms.keys()

    async def do(self, member: Member, command: ClientFrame) -> None:
        """Does what a frame of ROOM_FRAMES says.

        Raises:
            InvalidRequest: invalid_room. Refused: room_forbidden, too_many_rooms.
        """
        if command.type == "active":
            member.is_visible = command.flag("visible")
            self.loop.note(member.user_id)
            return
        try:
            await self._move(member, command)
        except (InvalidRequest, Refused) as error:
            metrics.JOINS_REFUSED.labels(error.code).inc()
            raise

    async def _move(self, member: Member, command: ClientFrame) -> None:
        ref = read_room(command.data.get("room"))
        if command.type == "leave_room":
            room = await self._room_of(member, ref)
            if room is not None:
                self.table.remove(member, room)
            return
        if len(member.rooms or ()) >= self._limits.rooms:
            detail = f"a socket may be in {self._limits.rooms} rooms"
            raise Refused(detail, code="too_many_rooms")
        room, online = await self._joins.open(member.user_id, ref)
        if not member.closed:
            self.table.add(member, room, online)

    async def _room_of(self, member: Member, ref: RoomRef) -> Room | None:
        """Returns a room to leave: who may not join it any more has left it already."""
        if isinstance(ref.key, int):
            return Room(ref.kind, ref.key)
        try:
            return (await self._joins.open(member.user_id, ref)).room
        except Refused:
            return None

    def _deliver(self, found: GroupMessage) -> None:
        room = room_of_group(found.target)
        type_ = _FRAMES.get(str(found.message.get("type")))
        if room is None or type_ is None:
            return  # it is for other consumers
        given = found.message.get("exclude_users")
        excluded = (
            {each for each in given if isinstance(each, int)} if isinstance(given, list) else set()
        )
        data = found.message.get("data")
        if room.kind == "user":
            person = self._hub.people.get(room.id)
            if person is not None:
                send_to(person.members, Frame(type_, data), excluded)
            return
        joined = self.table.rooms.get(room)
        if joined is not None:
            send_to(joined.members, Frame(type_, data, room=room.name), excluded)
