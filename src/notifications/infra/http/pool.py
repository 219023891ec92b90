"""Connections that are kept for the next request, and the number of those that may be open."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from notifications.infra import clock
from notifications.infra.http.wire import Wire

KEPT_S = 15.0
"""Servers that end idle connections do so later than this, as a rule."""


class HttpOrigin(NamedTuple):
    """What a connection leads to."""

    host: str
    port: int
    tls: bool


class ConnectionPool:
    """At most `limit` connections to whatever origins, the idle ones ready for more.

    Args:
        dial: connects a wire to an origin.
    """

    def __init__(self, dial: Callable[[HttpOrigin, Wire], Awaitable[None]], *, limit: int) -> None:
        self._dial = dial
        self._limit = limit
        self._open: set[Wire] = set()
        self._idle: dict[HttpOrigin, deque[Wire]] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None

    async def acquire(self, origin: HttpOrigin) -> Wire:
        """A connection to the origin, in the caller's hands until it is given back."""
        while True:
            wire = self.acquire_idle(origin)
            if wire is not None:
                return wire
            if len(self._open) < self._limit or self._drop_an_idle_one():
                return await self._opened(origin)
            await self._room()

    def acquire_idle(self, origin: HttpOrigin) -> Wire | None:
        """A connection that is there already, in the caller's hands until it is given back."""
        kept = self._idle.get(origin)
        fresh_from = clock.monotonic() - KEPT_S
        while kept:
            wire = kept.pop()  # the one used last: the others may grow old and go
            if wire.usable and wire.idle_since > fresh_from:
                return wire
            self._end(wire)
        return None

    def release(self, origin: HttpOrigin, wire: Wire) -> None:
        """Keeps a connection for the next request, if it can carry one."""
        if not wire.usable:
            self._gone(wire)
            return
        wire.idle_since = clock.monotonic()
        self._idle.setdefault(origin, deque()).append(wire)
        self._let_one_in()
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(KEPT_S, self._sweep)

    async def close(self) -> None:
        """Ends every connection, those in use too."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for wire in tuple(self._open):
            wire.abort()
        self._idle.clear()
        await asyncio.sleep(0)  # the transports' own last steps

    def _drop_an_idle_one(self) -> bool:
        for kept in self._idle.values():
            if kept:
                self._end(kept.popleft())
                return True
        return False

    async def _opened(self, origin: HttpOrigin) -> Wire:
        wire = Wire(self._gone)
        self._open.add(wire)
        try:
            await self._dial(origin, wire)
        except BaseException:
            self._end(wire)
            raise
        return wire

    async def _room(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._let_one_in()  # the turn was ours, and we leave
            raise

    def _let_one_in(self) -> None:
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
            self._let_one_in()

    def _sweep(self) -> None:
        """Ends connections that were idle too long; a host that is never called again, too."""
        self._sweeper = None
        old = clock.monotonic() - KEPT_S
        for kept in self._idle.values():
            while kept and kept[0].idle_since <= old:
                self._end(kept.popleft())
        self._idle = {origin: kept for origin, kept in self._idle.items() if kept}
        if self._idle:
            self._sweeper = asyncio.get_running_loop().call_later(KEPT_S, self._sweep)
