"""Nothing departs from a process while it renders a version that nobody has proved.

Such a render may have to be killed with its process, and whatever is in a provider's hands then is
in doubt. A departure is a dispatch from its journal until its hand-overs have begun.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

_LONGEST_WAIT_S = 5.0


class Departures:
    """Departures, on the event loop, and what holds them, on the thread that renders."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._leaving = 0
        self._held = 0
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    @contextmanager
    def held(self) -> Iterator[None]:
        """Waits for departures that are under way, and lets none begin before the block ends."""
        with self._changed:
            self._held += 1
            self._changed.wait_for(lambda: self._leaving == 0, timeout=_LONGEST_WAIT_S)
        try:
            yield
        finally:
            with self._changed:
                self._held -= 1
                waiting, self._waiting = self._waiting, []
            for loop, event in waiting:
                with suppress(RuntimeError):  # the loop closed meanwhile
                    loop.call_soon_threadsafe(event.set)

    @asynccontextmanager
    async def leaving(self) -> AsyncIterator[None]:
        """Around a departure; waits while they are held."""
        while (event := self._begin()) is not None:
            await event.wait()
        try:
            yield
        finally:
            with self._changed:
                self._leaving -= 1
                self._changed.notify_all()

    async def open(self) -> None:
        """Waits while departures are held."""
        if self._held:
            async with self.leaving():
                pass

    def _begin(self) -> asyncio.Event | None:
        """Counts a departure; when they are held, answers what will tell that they are not."""
        with self._changed:
            if not self._held:
                self._leaving += 1
                return None
            event = asyncio.Event()
            self._waiting.append((asyncio.get_running_loop(), event))
            return event


DEPARTURES = Departures()
"""Those of this process."""
