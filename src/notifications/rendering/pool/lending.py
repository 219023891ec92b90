"""Which render process works for whom: a pool lends each to one thread at a time.

A key (a version, a principal) is at work in one process at most, so that whoever is slow or is
killed holds no other key up. Who waits is served in order.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from notifications.rendering.pool.child import RenderProcess


class Exhausted(Exception):
    """No process was free in time."""


class _Waiter:
    """Somebody who waits for a process."""

    __slots__ = ("granted", "keys", "process")

    def __init__(self, keys: frozenset[str]) -> None:
        self.keys = keys
        self.granted = threading.Event()
        self.process: RenderProcess | None = None  # None once granted: start one


class Pool:
    """Up to `size` render processes, started when they are needed."""

    def __init__(self, size: int, *, idle_seconds: float = 0.0) -> None:
        """idle_seconds: a process ends after so many without work; 0: it stays."""
        self._size = size
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._free: list[RenderProcess] = []
        self._lent = 0
        self._busy: set[str] = set()
        self._waiting: deque[_Waiter] = deque()

    @contextmanager
    def lend(self, keys: frozenset[str], *, seconds: float) -> Iterator[RenderProcess]:
        """A process for some keys.

        Raises:
            Exhausted: none was free within so many seconds.
            OSError: none could be started.
        """
        waiter = _Waiter(keys)
        with self._lock:
            self._waiting.append(waiter)
            self._grant()
        if not waiter.granted.wait(seconds) and not self._give_up(waiter):
            raise Exhausted
        process = waiter.process
        try:
            if process is None:
                process = RenderProcess(idle_seconds=self._idle_seconds)
            yield process
        finally:
            self._take_back(keys, process)

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits."""
        return bool(self._waiting)

    def processes(self) -> list[int]:
        """The ids of the processes that wait for work."""
        with self._lock:
            return [each.pid for each in self._free if not each.is_dead]

    def close(self) -> None:
        """Ends the processes that are free; those at work end when they are given back."""
        with self._lock:
            free, self._free, self._size = self._free, [], 0
        for process in free:
            process.kill()

    def _grant(self) -> None:
        """Serves who waits, the first first, as far as processes and keys are free."""
        held = set(self._busy)
        for waiter in list(self._waiting):
            if self._lent >= max(1, self._size):
                return
            if held.isdisjoint(waiter.keys):
                self._waiting.remove(waiter)
                self._lent += 1
                self._busy |= waiter.keys
                waiter.process = self._free.pop() if self._free else None
                waiter.granted.set()
            held |= waiter.keys

    def _give_up(self, waiter: _Waiter) -> bool:
        """Takes back a wish; True when it was granted at the last moment."""
        with self._lock:
            if waiter.granted.is_set():
                return True
            self._waiting.remove(waiter)
            self._grant()  # those behind it with the same key
        return False

    def _take_back(self, keys: frozenset[str], process: RenderProcess | None) -> None:
        worn: RenderProcess | None = None
        with self._lock:
            self._lent -= 1
            self._busy -= keys
            if process is not None:
                if process.is_worn or self._size == 0:
                    worn = process
                else:
                    self._free.append(process)
            self._grant()
        if worn is not None and not worn.is_dead:
            worn.kill()


def deadline_in(seconds: float) -> float:
    """The moment on the monotonic clock."""
    return time.monotonic() + seconds
