"""A pool that lends each render process to one thread at a time.

A key (a version, a principal) uses one process at most, so a slow or killed job delays no other
key. Waiting threads are served in order.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from notifications.rendering.pool.child import RenderProcess


class Exhausted(Exception):
    """No process was free in time."""


class _Waiter:
    """A thread that waits for a process."""

    __slots__ = ("granted", "keys", "process")

    def __init__(self, keys: frozenset[str]) -> None:
        self.keys = keys
        self.granted = threading.Event()
        #: The process that was granted; None after a grant means that a new one must be started.
        self.process: RenderProcess | None = None


class ProcessPool:
    """Up to `size` render processes, started on demand."""

    def __init__(self, size: int, *, idle_seconds: float = 0.0) -> None:
        """Creates an empty pool. A process ends after idle_seconds without work; 0: never."""
        self._size = size
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._free: list[RenderProcess] = []
        self._lent = 0
        self._busy: set[str] = set()
        self._waiting: deque[_Waiter] = deque()

    @contextmanager
    def lend(self, keys: frozenset[str], *, seconds: float) -> Iterator[RenderProcess]:
        """Lends a process for some keys.

        Raises:
            Exhausted: no process was free within so many seconds.
            OSError: no process could be started.
        """
        waiter = _Waiter(keys)
        with self._lock:
            self._waiting.append(waiter)
            self._grant()
        if not waiter.granted.wait(seconds) and not self._withdraw(waiter):
            raise Exhausted
        process = waiter.process
        try:
            if process is None:
                process = RenderProcess(idle_seconds=self._idle_seconds)
            yield process
        finally:
            self._release(keys, process)

    @property
    def has_waiters(self) -> bool:
        """Whether a thread waits for a process."""
        return bool(self._waiting)

    def processes(self) -> list[int]:
        """Returns the pids of the processes that wait for work."""
        with self._lock:
            return [each.pid for each in self._free if not each.is_dead]

    def close(self) -> None:
        """Ends the free processes; lent ones end when they are returned."""
        with self._lock:
            free, self._free, self._size = self._free, [], 0
        for process in free:
            process.kill()

    def _grant(self) -> None:
        """Serves waiting threads in order, as far as processes and keys are free."""
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

    def _withdraw(self, waiter: _Waiter) -> bool:
        """Withdraws a waiter; True when it was granted at the last moment."""
        with self._lock:
            if waiter.granted.is_set():
                return True
            self._waiting.remove(waiter)
            self._grant()  # serves waiters behind it that have the same key
        return False

    def _release(self, keys: frozenset[str], process: RenderProcess | None) -> None:
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
