"""Stops the dispatches of a process while it renders an unproved version.

Such a render may have to be killed with its process. Messages that are in flight then become
uncertain. A dispatch counts from its journal entry until its provider calls have begun.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

_LONGEST_WAIT_S = 5.0


class DispatchGate:
    """A gate for dispatches (on the event loop) that the rendering thread closes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._dispatching = 0
        self._closed = 0
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Waits for dispatches that have begun, and lets none begin before the block ends."""
        with self._changed:
            self._closed += 1
            self._changed.wait_for(lambda: self._dispatching == 0, timeout=_LONGEST_WAIT_S)
        try:
            yield
        finally:
            with self._changed:
                self._closed -= 1
                waiting, self._waiting = self._waiting, []
            for loop, event in waiting:
                with suppress(RuntimeError):  # the loop closed meanwhile
                    loop.call_soon_threadsafe(event.set)

    @asynccontextmanager
    async def dispatching(self) -> AsyncIterator[None]:
        """Wraps one dispatch; waits first while the gate is closed."""
        while (event := self._begin()) is not None:
            await event.wait()
        try:
            yield
        finally:
            with self._changed:
                self._dispatching -= 1
                self._changed.notify_all()

    async def wait_open(self) -> None:
        """Waits while the gate is closed."""
        if self._closed:
            async with self.dispatching():
                pass

    def _begin(self) -> asyncio.Event | None:
        """Counts a dispatch. Returns an event to wait for when the gate is closed."""
        with self._changed:
            if not self._closed:
                self._dispatching += 1
                return None
            event = asyncio.Event()
            self._waiting.append((asyncio.get_running_loop(), event))
            return event


DISPATCH_GATE = DispatchGate()
"""The gate of this process."""
