"""Begins the handshakes of websockets a few at a time.

After a restart thousands of clients connect at once. Their handshakes would fill one pass of the
event loop after the other, and each request would wait for hundreds of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

PASS_S = 0.004
"""Seconds of one pass of the event loop that handshakes may use."""
_OF_LOOP: WeakKeyDictionary[asyncio.AbstractEventLoop, Upgrades] = WeakKeyDictionary()


def upgrades_of(loop: asyncio.AbstractEventLoop) -> Upgrades:
    """Returns the queue of an event loop."""
    found = _OF_LOOP.get(loop)
    if found is None:
        found = _OF_LOOP[loop] = Upgrades()
    return found


class Upgrades:
    """The connections that wait for their handshake. All state belongs to the event loop."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_planned = False

    def add(self, begin: Callable[[], None]) -> None:
        """Calls `begin` in this pass of the event loop, or in a later one, in order."""
        self._waiting.append(begin)
        if not self._is_planned:
            self._is_planned = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        self._is_planned = False
        loop = asyncio.get_running_loop()
        ends = loop.time() + PASS_S
        try:
            while self._waiting:
                self._waiting.popleft()()
                if loop.time() >= ends:
                    break
        finally:
            if self._waiting and not self._is_planned:
                self._is_planned = True
                asyncio.get_running_loop().call_soon(self._run)
