"""Requests that arrive while the previous group is being worked on form the next group.

A request that finds no group at work waits for nothing. One thread works on one group at a time, so
that one database transaction serves all requests of a group.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from carillon.serving.pools import ClientGone, NoThreadFree, Receive, consume_error, hang_up

T = TypeVar("T")
R = TypeVar("R")

MOST = 64
"""Requests of a group at most."""


class Groups(Generic[T, R]):
    """Gives requests to `work` in groups. All state belongs to the event loop.

    Args:
        work: takes a group and returns a result for each request, in order.
        waiting: how many requests may wait for the next group.
        patience: for how many seconds at most.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Sequence[T]], Sequence[R]],
        *,
        waiting: int,
        patience: float,
    ) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._work = work
        self._most_waiting = waiting
        self._patience = patience
        self._queue: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._is_busy = False

    async def run(self, request: T, receive: Receive) -> R:
        """Returns the result of `work` for one request.

        Raises:
            ClientGone: the client left before the group of its request began.
            NoThreadFree: too many requests wait, or this one waited too long; it never begins.
        """
        if len(self._queue) >= self._most_waiting:
            raise NoThreadFree
        turn: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._queue.append((request, turn))
        if not self._is_busy:
            self._begin()
            return await asyncio.shield(turn)
        return await self._wait(request, turn, receive)

    def shutdown(self) -> None:
        """Waits for the group in progress."""
        self._thread.shutdown(wait=True)

    async def _wait(self, request: T, turn: asyncio.Future[R], receive: Receive) -> R:
        left = asyncio.ensure_future(hang_up(receive))
        ends: set[asyncio.Future[Any]] = {turn, left}
        try:
            await asyncio.wait(ends, timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)
            if not turn.done() and self._withdraw(request, turn):
                raise ClientGone if left.done() else NoThreadFree
            return await asyncio.shield(turn)
        finally:
            left.cancel()
            consume_error(left)

    def _withdraw(self, request: T, turn: asyncio.Future[R]) -> bool:
        """Takes a request out of the queue; False when its group has begun."""
        try:
            self._queue.remove((request, turn))
        except ValueError:
            return False
        return True

    def _begin(self) -> None:
        group = [self._queue.popleft() for _ in range(min(MOST, len(self._queue)))]
        self._is_busy = True
        running = asyncio.get_running_loop().run_in_executor(
            self._thread, self._work, [request for request, _ in group]
        )
        running.add_done_callback(lambda done: self._end(group, done))

    def _end(
        self, group: Sequence[tuple[T, asyncio.Future[R]]], done: asyncio.Future[Sequence[R]]
    ) -> None:
        self._is_busy = False
        if self._queue:
            self._begin()
        error = done.exception()
        for place, (_, turn) in enumerate(group):
            if turn.done():
                continue  # its client has left
            if error is not None:
                turn.set_exception(error)
            else:
                turn.set_result(done.result()[place])
