"""One connection of a person, whatever its transport: what it has, and what waits for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from notifications.features.access.socket_tokens import SocketToken
from notifications.features.inbox.reading import InboxCursor
from notifications.features.rooms.names import Room
from notifications.realtime import metrics
from notifications.realtime.frames import Frame

CLOSE_S = 5.0
"""After so many seconds a connection that does not take its close is cut."""


class Gone(Exception):
    """The client has left."""


class Out(Protocol):
    """Writes to the client of one connection."""

    def write(self, frames: Sequence[Frame]) -> bool:
        """Writes frames at once; False where they must wait, or the transport cannot do it."""

    async def send(self, frames: Sequence[Frame]) -> None:
        """Writes frames when the client can take them.

        Raises:
            Gone, OSError: the client has left.
        """

    async def close(self, code: int, reason: str) -> None:
        """Ends the connection."""

    def beat(self) -> None:
        """Keeps the connection alive, where the transport does not do so itself."""

    def cut(self) -> None:
        """Ends the connection without waiting for the client."""


class Member:
    """A connection in the table of the hub. All state belongs to the event loop."""

    __slots__ = (
        "_dropped",
        "_more",
        "_on_drop",
        "_out",
        "_queue",
        "_sending",
        "acked",
        "closed",
        "is_live",
        "is_visible",
        "pending",
        "position",
        "rooms",
        "token",
        "token_announced",
        "transport",
    )

    def __init__(
        self,
        token: SocketToken,
        out: Out,
        *,
        transport: str,
        queue: int,
        on_drop: Callable[[Member], None],
    ) -> None:
        """Creates it.

        Args:
            queue: the most frames that wait for the client.
            on_drop: called when frames were dropped, once the client reads again.
        """
        self.token = token
        self.transport = transport
        #: What the client has. None until its first group.
        self.position: InboxCursor | None = None
        #: Whether it gets live frames: not before its first group, and not after a drop.
        self.is_live = False
        #: What the hub is about to read for it.
        self.pending: object = None
        #: The close code; 0 while it is open.
        self.closed = 0
        #: Up to here the client said what it received.
        self.acked = 0
        self.token_announced = False
        #: Whether the client says that it is visible.
        self.is_visible = False
        #: The rooms that it has joined; None for none.
        self.rooms: set[Room] | None = None
        self._out = out
        self._more = queue
        self._queue: deque[Frame] | None = None
        self._on_drop = on_drop
        self._sending: asyncio.Task[None] | None = None
        self._dropped = False

    @property
    def user_id(self) -> int:
        """The person."""
        return self.token.user_id

    def put(self, frames: Sequence[Frame]) -> None:
        """Sends a group of frames, or lets it wait while the client reads."""
        if self.closed or self._dropped or not frames:
            return
        metrics.FRAMES.inc(len(frames))
        if self._sending is None and self._out.write(frames):
            return
        if self._queue is None:
            self._queue = deque()
        self._queue.extend(frames)
        if len(self._queue) > self._more:
            self._drop()
        elif self._sending is None:
            self._sending = asyncio.create_task(self._send_queue())

    def offer(self, frames: Sequence[Frame]) -> bool:
        """Sends frames that may be lost. They never use more than half of the queue.

        Returns False where they were dropped, because the client reads slowly or has left.
        """
        if self.closed or self._dropped:
            return False
        if len(self._queue or ()) + len(frames) > self._more // 2:
            return False
        self.put(frames)
        return True

    def close(self, code: int, reason: str = "") -> None:
        """Ends the connection with a close code. What waits is dropped."""
        if self.closed:
            return
        self.closed = code
        self.is_live = False
        self._queue = None
        metrics.CLOSED.labels(str(code)).inc()
        sending, self._sending = self._sending, asyncio.create_task(self._end(code, reason))
        if sending is not None:
            sending.cancel()

    def beat(self) -> None:
        """Keeps an idle connection alive."""
        if self._sending is None and not self.closed:
            self._out.beat()

    def leave(self) -> None:
        """Forgets what waits: the client has left."""
        self.closed = self.closed or 1005
        self.is_live = False
        self._queue = None

    def _drop(self) -> None:
        assert self._queue is not None
        metrics.DROPPED.inc(len(self._queue))
        self._queue = None
        self._dropped = True
        self.is_live = False

    async def _send_queue(self) -> None:
        try:
            while frames := self._queue:
                self._queue = None
                await self._out.send(frames)
        except (Gone, OSError):
            self.leave()
        finally:
            if not self.closed:
                self._sending = None
        if self._dropped and not self.closed:
            self._dropped = False
            self._on_drop(self)

    async def _end(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._out.close(code, reason)
        except (TimeoutError, Gone, OSError):
            self._out.cut()


class Watcher(Protocol):
    """What follows who is connected, and takes what is for rooms."""

    def entered(self, member: Member) -> None:
        """A connection has entered the table."""

    def left(self, member: Member) -> None:
        """A connection has left the table."""

    def take(self, text: str) -> None:
        """Takes the JSON of an ephemeral frame."""
