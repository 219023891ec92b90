"""The thread of a process that sends what its other threads request, so that none of them waits.

What is requested while something is sent goes together, once. After an error nothing is sent for a
while: what carries the texts is away, and receivers look by themselves.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable
from collections.abc import Set as AbstractSet
from typing import Generic, Protocol, TypeVar

import structlog

from notifications.infra import clock, ports

log = structlog.get_logger("carillon.wakeups")
Item = TypeVar("Item")


class Carrier(Protocol):
    """Sends texts to other processes. It has its own connection, which it opens when needed."""

    def send(self, texts: AbstractSet[str], /) -> None:
        """Sends each text, in their order. An error means that some may be lost."""

    def close(self) -> None:
        """Closes its connection, until it sends again."""


class Publisher(Generic[Item]):
    """Sends what is requested. Its thread and its carrier are made with the first request."""

    def __init__(
        self,
        name: str,
        encode: Callable[[Collection[Item]], AbstractSet[str]],
        make_carrier: Callable[[], Carrier],
        *,
        quiet_s: float,
        tell: Callable[[AbstractSet[str]], None] | None = None,
    ) -> None:
        """Makes it; nothing runs yet.

        Args:
            name: of the thread, and in the log.
            encode: returns the texts of items, which are in the order of their last requests.
            quiet_s: nothing is sent for so long after an error.
            tell: hears all texts within this process, also while nothing is sent.
        """
        self._make: Callable[[], _Running[Item]] = lambda: _Running(
            name, encode, make_carrier(), tell, quiet_s
        )
        self._running: _Running[Item] | None = None
        self._making = threading.Lock()
        os.register_at_fork(after_in_child=self._renew_lock)

    def request(self, items: Iterable[Item]) -> None:
        """Has items sent soon. It does not wait."""
        self._run().request(items)

    def waiting(self) -> int:
        """Returns how many items wait to be sent."""
        running = self._running
        return running.waiting() if running is not None else 0

    def flush(self, timeout_s: float) -> None:
        """Waits until what was requested is sent, or the time is over."""
        self._run().flush(timeout_s)

    def disconnect(self, timeout_s: float) -> None:
        """Closes the carrier's connection, after what was requested. It is opened again if needed.

        timeout_s: the longest wait for what was requested.
        """
        running = self._running
        if running is not None and running.pid == os.getpid():
            running.flush(timeout_s)
            running.carrier.close()

    def _run(self) -> _Running[Item]:
        with self._making:
            if self._running is None or self._running.pid != os.getpid():
                self._running = self._make()  # threads do not survive a fork
            return self._running

    def _renew_lock(self) -> None:
        """Makes a new lock: a thread that the child does not have may hold the old one."""
        self._making = threading.Lock()


class _Running(Generic[Item]):
    """The thread, and what waits for it."""

    def __init__(
        self,
        name: str,
        encode: Callable[[Collection[Item]], AbstractSet[str]],
        carrier: Carrier,
        tell: Callable[[AbstractSet[str]], None] | None,
        quiet_s: float,
    ) -> None:
        self.pid = os.getpid()
        self.carrier = carrier
        self._name, self._encode, self._tell = name, encode, tell
        self._quiet_s, self._quiet_until = quiet_s, 0.0
        self._items: dict[Item, None] = {}
        self._changed = ports.Condition()
        self._is_busy = False
        ports.Thread(target=self._run, name=name, daemon=True).start()

    def request(self, items: Iterable[Item]) -> None:
        with self._changed:
            for item in items:
                self._items.pop(item, None)  # the last one of equal items counts
                self._items[item] = None
            self._changed.notify_all()

    def waiting(self) -> int:
        return len(self._items)

    def flush(self, timeout_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not (self._items or self._is_busy), timeout_s)

    def _run(self) -> None:
        while True:
            texts = self._encode(self._next())
            if self._tell is not None:
                self._tell(texts)
            if clock.monotonic() < self._quiet_until:
                continue
            try:
                self.carrier.send(texts)
            except Exception as error:
                self._quiet_until = clock.monotonic() + self._quiet_s
                log.warning("wakeup.failed", source=self._name, error=type(error).__name__)

    def _next(self) -> Collection[Item]:
        """Waits for something to send."""
        with self._changed:
            self._is_busy = False
            self._changed.notify_all()
            while not self._items:
                self._changed.wait()
            self._is_busy = True
            items, self._items = self._items, {}
        return items.keys()
