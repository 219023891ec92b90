"""A pool of open connections, with a limit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from notifications.infra import clock
from notifications.infra.http.wire import READ_LIMIT, Wire

IDLE_S = 15.0
"""Most servers close idle connections later than this."""


class HttpOrigin(NamedTuple):
    """The target of a connection."""

    host: str
    port: int
    tls: bool


class ConnectionPool:
    """At most `limit` connections to any origins. Idle ones are used again.

    Args:
        dial: connects a wire to an origin.
        read_limit: the most bytes of a body that are read.
    """

    def __init__(
        self,
        dial: Callable[[HttpOrigin, Wire], Awaitable[None]],
        *,
        limit: int,
        read_limit: int = READ_LIMIT,
    ) -> None:
        self._dial = dial
        self._read_limit = read_limit
        self._limit = limit
        self._open: set[Wire] = set()
        self._idle: dict[HttpOrigin, deque[Wire]] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None

    async def acquire(self, origin: HttpOrigin) -> Wire:
        """Returns a connection to the origin. The caller must release it."""
        while True:
            wire = self.acquire_idle(origin)
            if wire is not None:
                return wire
            if len(self._open) < self._limit or self._drop_an_idle_one():
                return await self._opened(origin)
            await self._wait_turn()

    def acquire_idle(self, origin: HttpOrigin) -> Wire | None:
        """Returns an idle connection, or None. The caller must release it."""
        idle = self._idle.get(origin)
        fresh_from = clock.monotonic() - IDLE_S
        while idle:
            wire = idle.pop()  # the one used last, so that the others can expire
            if wire.usable and wire.idle_since > fresh_from:
                return wire
            self._end(wire)
        return None

    def release(self, origin: HttpOrigin, wire: Wire) -> None:
        """Stores a connection for the next request, if it can carry one."""
        if not wire.usable:
            self._gone(wire)
            return
        wire.idle_since = clock.monotonic()
        self._idle.setdefault(origin, deque()).append(wire)
        self._wake_next()
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(IDLE_S, self._sweep)

    async def close(self) -> None:
        """Ends every connection, those in use too."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for wire in tuple(self._open):
            wire.abort()
        self._idle.clear()
        await asyncio.sleep(0)  # lets the transports finish

    def _drop_an_idle_one(self) -> bool:
        for idle in self._idle.values():
            if idle:
                self._end(idle.popleft())
                return True
        return False

    async def _opened(self, origin: HttpOrigin) -> Wire:
        wire = Wire(self._gone, read_limit=self._read_limit)
        self._open.add(wire)
        try:
            await self._dial(origin, wire)
        except BaseException:
            self._end(wire)
            raise
        return wire

    async def _wait_turn(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._wake_next()  # the turn was granted, but this caller is cancelled
            raise

    def _wake_next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _end(self, wire: Wire) -> None:
        wire.abort()
        self._gone(wire)

    def _gone(self, wire: Wire) -> None:
        if wire in self._open:
            self._open.discard(wire)
            self._wake_next()

    def _sweep(self) -> None:
        """Closes connections that were idle too long, also to hosts without further calls."""
        self._sweeper = None
        old = clock.monotonic() - IDLE_S
        for idle in self._idle.values():
            while idle and idle[0].idle_since <= old:
                self._end(idle.popleft())
        self._idle = {origin: idle for origin, idle in self._idle.items() if idle}
        if self._idle:
            self._sweeper = asyncio.get_running_loop().call_later(IDLE_S, self._sweep)
