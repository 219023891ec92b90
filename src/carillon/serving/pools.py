"""Threads that answer requests, and a bounded queue in front of them.

Work that may hang (a database that is away) has threads of its own, so that what does not need the
database is still answered. A request that cannot begin soon is refused at once, and a request whose
client has left is dropped before it begins.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_SETTLE_TURNS = 3  # a hang-up is noticed, wakes the waiting receive, and ends its task


class ClientGone(Exception):
    """The client hung up before its request began."""


class NoThreadFree(Exception):
    """Too many requests wait already, or this one waited too long for a thread."""


class TookTooLong(Exception):
    """The call did not end within the pool's limit; its thread is still at it."""


class ThreadPool:
    """Runs calls in a fixed number of threads.

    waiting: how many calls may wait for a thread; patience: for how many seconds at most.
    limit: how many seconds a call may take from its arrival to its end; None: no limit.
    All state belongs to the event loop.
    """

    def __init__(
        self, name: str, threads: int, *, waiting: int, patience: float, limit: float | None = None
    ) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._free = threads
        self._most_waiting = waiting
        self._patience = patience
        self._limit = limit
        self._queue: deque[asyncio.Future[None]] = deque()

    async def run(self, call: Callable[[], T], receive: Receive) -> T:
        """The result of `call`.

        Raises:
            ClientGone: the client left before the call began; it never begins.
            NoThreadFree: there was no thread for it; it never begins.
            TookTooLong: the call goes on, but nobody waits for it any longer.
        """
        loop = asyncio.get_running_loop()
        until = None if self._limit is None else loop.time() + self._limit
        if self._free:
            self._free -= 1
        else:
            await self._wait(receive)
        running = loop.run_in_executor(self._threads, call)
        running.add_done_callback(self._release)
        if until is None:
            return await asyncio.shield(running)
        await asyncio.wait({running}, timeout=until - loop.time())
        if not running.done():
            raise TookTooLong
        return running.result()

    def shutdown(self) -> None:
        """Waits for the calls in hand."""
        self._threads.shutdown(wait=True)

    async def _wait(self, receive: Receive) -> None:
        """Returns once a thread is this caller's; watches meanwhile whether the client is there."""
        if len(self._queue) >= self._most_waiting:
            raise NoThreadFree
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        left = asyncio.ensure_future(hang_up(receive))
        begins = False
        try:
            await asyncio.wait(
                {turn, left}, timeout=self._patience, return_when=asyncio.FIRST_COMPLETED
            )
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
        consume_error(done)  # nobody else may be there to take it
        self._next()

    def _next(self) -> None:
        """Gives a free thread to whoever waits longest."""
        if self._queue:
            self._queue.popleft().set_result(None)
        else:
            self._free += 1


def consume_error(ended: asyncio.Future[Any]) -> None:
    """Spares the log a line about an error that nobody took."""
    if ended.done() and not ended.cancelled():
        ended.exception()


async def hang_up(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
