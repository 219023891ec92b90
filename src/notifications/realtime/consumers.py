"""The websocket of a person: `/ws/notifications/`."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Protocol
from urllib.parse import parse_qs

from notifications.api.errors import Overloaded, RestoreUnfinished, Unavailable
from notifications.domain.errors import CarillonError, Refused
from notifications.features.access.platform_keys import KeysUnreachable
from notifications.features.inbox.reading import InboxCursor
from notifications.infra.database.errors import is_unavailable
from notifications.realtime import metrics
from notifications.realtime.center import Center, TooMany, process_center, read_place
from notifications.realtime.commands import (
    ClientFrame,
    Malformed,
    action_of,
    read_command,
    unknown_type,
)
from notifications.realtime.frames import PONG, Frame, error_frame
from notifications.realtime.limits import may_open
from notifications.realtime.members import Gone, Member
from notifications.realtime.rooms.dispatcher import ROOM_FRAMES

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MALFORMED, TOKEN, FORBIDDEN, TOO_LARGE, TOO_MANY = 4400, 4401, 4403, 4413, 4429
RESTART, TRY_LATER = 1012, 1013
PROTOCOL = "carillon.v1"
BEARER = "bearer."
DIRECT = "carillon"
"""The extension of the scope through which frames are written without waiting."""
_LONGEST_ROOM = 100
SPREAD_S = 5.0
"""Clients are asked to come back within so many seconds, each after its own time."""


class Direct(Protocol):
    """What a server offers beside ASGI: writing at once."""

    def write_frames(self, parts: Sequence[bytes]) -> bool:
        """Writes whole frames; False where the client reads slowly or has left."""

    def cut(self) -> None:
        """Ends the connection at once."""

    def forget_handshake(self) -> None:
        """Frees what only the handshake needed."""


class SocketOut:
    """Writes frames to a websocket."""

    __slots__ = ("_direct", "_send")

    def __init__(self, send: Send, direct: Direct | None) -> None:
        self._send = send
        self._direct = direct

    def write(self, frames: Sequence[Frame]) -> bool:
        """Writes frames at once, where the server can."""
        direct = self._direct
        return direct is not None and direct.write_frames([frame.wire for frame in frames])

    async def send(self, frames: Sequence[Frame]) -> None:
        """Writes frames when the client reads."""
        for frame in frames:
            await self._send({"type": "websocket.send", "text": frame.text})

    async def close(self, code: int, reason: str) -> None:
        """Closes the socket."""
        await self._send({"type": "websocket.close", "code": code, "reason": reason})

    def beat(self) -> None:
        """Does nothing: the server sends pings."""

    def cut(self) -> None:
        """Ends the connection at once, where the server can."""
        if self._direct is not None:
            self._direct.cut()


class NotificationConsumer:
    """One websocket of a person: an ASGI application for one connection.

    It accepts first and refuses with a close code, because a browser sees no other answer.
    """

    __slots__ = ("_center", "_counted", "_member", "_receive", "_second", "_send", "scope")

    def __init__(self, *, center: Center | None = None) -> None:
        """center: the hub and its bounds; None: those of this process."""
        self._center = center or process_center()
        self._member: Member | None = None
        self._second = 0.0
        self._counted = 0

    @classmethod
    def as_asgi(cls) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        """Returns an application that serves each connection by a consumer of its own."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            await cls()(scope, receive, send)

        return serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the socket until one side closes it."""
        self.scope, self._receive, self._send = scope, receive, send
        message = await receive()
        if message["type"] != "websocket.connect":
            return
        with contextlib.suppress(Gone, OSError):
            await self._serve()

    async def _serve(self) -> None:
        text, place = self._asked()
        offered = PROTOCOL in self.scope.get("subprotocols", ())
        await self._send({"type": "websocket.accept", "subprotocol": PROTOCOL if offered else None})
        try:
            member = await self._enter(text, place)
        except CarillonError as error:
            await self._refuse(code_of(error), error.code)
            return
        except TooMany:
            await self._refuse(TOO_MANY, "throttled")
            return
        self._member = member
        try:
            await self._listen(member)
        finally:
            self._center.hub.leave(member)

    def _asked(self) -> tuple[str, InboxCursor | None]:
        """Returns the token, and the position to go on from."""
        query = parse_qs(self.scope.get("query_string", b"").decode("latin-1"), max_num_fields=20)
        given = [
            each.removeprefix(BEARER)
            for each in self.scope.get("subprotocols", ())
            if each.startswith(BEARER)
        ]
        text = given[0] if given else query.get("token", [""])[0]
        return text, read_place(query.get("after", [""])[0])

    async def _enter(self, text: str, place: InboxCursor | None) -> Member:
        """Raises: CarillonError: the socket is refused. TooMany."""
        headers = dict(self.scope.get("headers", ()))
        origin = headers.get(b"origin", b"").decode("latin-1")
        host = headers.get(b"host", b"").decode("latin-1")
        if not may_open(origin, host, self._center.limits):
            raise Refused("pages of this origin may open no socket")
        if self._center.is_closing:
            raise Overloaded
        token = await self._center.tokens.find(text)
        direct: Direct | None = (self.scope.get("extensions") or {}).get(DIRECT)
        out = SocketOut(self._send, direct)
        member = self._center.enter(token, out, place, transport="socket")
        if direct is not None:
            direct.forget_handshake()
        return member

    async def _refuse(self, code: int, reason: str) -> None:
        metrics.CLOSED.labels(str(code)).inc()
        if code in (TOKEN, FORBIDDEN, TOO_MANY):
            self._center.note_refusal(self.scope, code, reason)
        await self._send({"type": "websocket.close", "code": code, "reason": reason})

    async def _listen(self, member: Member) -> None:
        """Takes the frames of the client until it leaves or is closed."""
        while True:
            message = await self._receive()
            if message["type"] != "websocket.receive":
                return
            if member.closed:
                continue  # what it sent before it saw the close
            code = await self._take(member, message.get("text") or message.get("bytes") or "")
            if code:
                member.close(code)

    async def _take(self, member: Member, text: str | bytes) -> int:
        """Does what a frame says; returns a close code, or 0."""
        if len(text) > self._center.limits.frame_bytes:
            return TOO_LARGE
        if not self._may_send():
            return TOO_MANY
        try:
            command = read_command(text)
        except Malformed:
            return MALFORMED
        try:
            return await self._do(member, command)
        except CarillonError as error:
            member.put([error_frame(error.code, error.detail, **_room_of(command))])
        except Exception as error:
            if not is_unavailable(error):
                raise
            member.put([error_frame(Unavailable.code, Unavailable().detail)])
        return 0

    def _may_send(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._second >= 1.0:
            self._second, self._counted = now, 0
        self._counted += 1
        return self._counted <= self._center.limits.messages_per_s

    async def _do(self, member: Member, command: ClientFrame) -> int:
        kind = command.type
        action = action_of(command, member.user_id)
        if action is not None:
            await self._center.actions.run(action)
        elif kind == "ping":
            member.put([PONG])
        elif kind == "ack":
            self._center.rounds.add_received(member, command.number("seq"))
        elif kind == "seen":
            self._center.rounds.add_seen(member.user_id, command.keys("ids"))
        elif kind == "resume":
            place = InboxCursor(command.text("epoch"), command.number("seq"))
            self._center.hub.read_for(member, place)
        elif kind == "token":
            return await self._renew(member, command.text("jwt"))
        elif kind in ROOM_FRAMES:
            await self._center.rooms.do(member, command)
        else:
            raise unknown_type(command)
        metrics.RECEIVED.labels(kind).inc()
        return 0

    async def _renew(self, member: Member, text: str) -> int:
        """Takes a fresh token of the same person."""
        try:
            token = await self._center.tokens.find(text)
        except CarillonError as error:
            if code_of(error) == TRY_LATER:
                raise
            return code_of(error)
        if token.user_id != member.user_id:
            return FORBIDDEN
        member.token = token
        member.token_announced = False
        return 0


def _room_of(command: ClientFrame) -> dict[str, str]:
    """Returns the room that a frame names, for the error that answers it."""
    room = command.data.get("room")
    return {"room": room[:_LONGEST_ROOM]} if isinstance(room, str) else {}


def code_of(error: CarillonError) -> int:
    """Returns the close code of an error that refuses a socket."""
    if isinstance(error, Refused):
        return FORBIDDEN
    later = Overloaded | Unavailable | RestoreUnfinished | KeysUnreachable
    return TRY_LATER if isinstance(error, later) else TOKEN


def close_all(center: Center) -> None:
    """Ends all connections, because the process ends. Clients come back spread over seconds."""
    center.is_closing = True
    center.rooms.close()
    for member in center.hub.members():
        wait_ms = int(random.random() * SPREAD_S * 1000)
        member.close(RESTART, f"restart; retry after {wait_ms} ms")
