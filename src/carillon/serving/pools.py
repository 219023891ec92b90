"""Thread pools that serve requests, each with a bounded queue.

Work that may hang (on an unreachable database) has separate threads, so that requests without a
database are still served. A request that cannot begin soon is refused, and a request whose client
has disconnected is dropped before it begins.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_SETTLE_TURNS = 3  # a disconnect is noticed, wakes the waiting receive, and ends its task


class ClientGone(Exception):
    """The client disconnected before its request began."""


class NoThreadFree(Exception):
    """Too many requests are waiting, or this one waited too long for a thread."""


class TookTooLong(Exception):
    """The call did not end within the pool's limit; its thread is still running it."""


class ThreadPool:
    """Runs calls in a fixed number of threads. All state belongs to the event loop."""

    def __init__(
        self, name: str, threads: int, *, waiting: int, patience: float, limit: float | None = None
    ) -> None:
        """Creates the pool.

        waiting: the most calls that may wait for a thread. patience: the most seconds of a wait.
        limit: the most seconds from a call's arrival to its end; None: no limit.
        """
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._free = threads
        self._most_waiting = waiting
        self._patience = patience
        self._limit = limit
        self._queue: deque[asyncio.Future[None]] = deque()

    async def run(
        self, call: Callable[[], T], receive: Receive, *, began: float | None = None
    ) -> T:
        """Runs `call` in a thread and returns its result.

        began: when the request began to wait, by the loop's clock; None: now.

        Raises:
            ClientGone: the client disconnected before the call began; it never begins.
            NoThreadFree: no thread was free in time; the call never begins.
            TookTooLong: the call exceeded the limit; it continues, and its result is dropped.
        """
        loop = asyncio.get_running_loop()
        until = None if self._limit is None else loop.time() + self._limit
        if self._free:
            self._free -= 1
        else:
            waited = 0.0 if began is None else loop.time() - began
            await self._wait(receive, max(0.0, self._patience - waited))
        running = loop.run_in_executor(self._threads, call)
        running.add_done_callback(self._release)
        if until is None:
            return await asyncio.shield(running)
        await asyncio.wait({running}, timeout=until - loop.time())
        if not running.done():
            raise TookTooLong
        return running.result()

    def shutdown(self) -> None:
        """Waits for the running calls."""
        self._threads.shutdown(wait=True)

    async def _wait(self, receive: Receive, seconds: float) -> None:
        """Waits until a thread is free for this caller, and checks that the client stays."""
        if len(self._queue) >= self._most_waiting:
            raise NoThreadFree
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        left = asyncio.ensure_future(hang_up(receive))
        begins = False
        try:
            await asyncio.wait({turn, left}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if turn.done() and not left.done():
                for _ in range(_SETTLE_TURNS):
                    await asyncio.sleep(0)
            if left.done():
                raise ClientGone
            if not turn.done():
                raise NoThreadFree
            begins = True
        finally:
            left.cancel()
            if not begins:
                self._withdraw(turn)
            consume_error(left)

    def _withdraw(self, turn: asyncio.Future[None]) -> None:
        if turn.done():
            self._next()
        else:
            self._queue.remove(turn)

    def _release(self, done: asyncio.Future[Any]) -> None:
        consume_error(done)  # the caller may no longer wait for the result
        self._next()

    def _next(self) -> None:
        """Gives a free thread to the caller that has waited longest."""
        if self._queue:
            self._queue.popleft().set_result(None)
        else:
            self._free += 1


def consume_error(ended: asyncio.Future[Any]) -> None:
    """Retrieves the error of a future, so that asyncio does not log it as unhandled."""
    if ended.done() and not ended.cancelled():
        ended.exception()


async def hang_up(receive: Receive) -> None:
    """Returns when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass
