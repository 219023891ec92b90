"""Asks that arrive while a group is being answered form the next group: one group at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from notifications.api.errors import Overloaded

BURST = 5
"""So many connections go on in one turn of the event loop, so that no request waits for more."""
Ask = TypeVar("Ask")
Answer = TypeVar("Answer")


class Gathered(Generic[Ask, Answer]):
    """Answers asks in groups. All state belongs to the event loop."""

    def __init__(
        self,
        answer: Callable[[list[Ask]], Awaitable[Sequence[Answer | Exception]]],
        *,
        at_once: int,
        waiting: int,
    ) -> None:
        """Creates it.

        Args:
            answer: returns the answer to each ask of a group, or its error. An error that it raises
                is that of the whole group.
            at_once: the most asks of a group.
            waiting: the most asks that wait for their group.
        """
        self._answer = answer
        self._at_once = at_once
        self._most = waiting
        self._queue: deque[tuple[Ask, asyncio.Future[Answer]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def answer(self, ask: Ask) -> Answer:
        """Returns the answer to one ask.

        Raises:
            Overloaded: too many asks wait.
            Exception: the error of the ask, or of its group.
        """
        if len(self._queue) >= self._most:
            raise Overloaded
        turn: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append((ask, turn))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await turn

    async def _run(self) -> None:
        while self._queue:
            count = min(self._at_once, len(self._queue))
            group = [self._queue.popleft() for _ in range(count)]
            try:
                found = await self._answer([ask for ask, _ in group])
            except Exception as error:
                found = [error] * count
            for number, ((_, turn), each) in enumerate(zip(group, found, strict=True), 1):
                if number % BURST == 0:
                    await asyncio.sleep(0)
                if turn.done():
                    continue  # its client has left
                if isinstance(each, Exception):
                    turn.set_exception(each)
                else:
                    turn.set_result(each)
