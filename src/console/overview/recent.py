"""Figures that many open pages share: read once, and used for some seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from notifications.infra import clock

T = TypeVar("T")


class RecentValue(Generic[T]):
    """A value that is read again when it is older than `lasts_s`. May be used from any thread.

    It is of the whole installation: nothing in it depends on who looks, or is about a person.
    """

    def __init__(self, read: Callable[[], T], *, lasts_s: float) -> None:
        self._read = read
        self._lasts_s = lasts_s
        self._lock = threading.Lock()
        self._found: tuple[float, T] | None = None

    def get(self) -> T:
        """Returns the value; one thread reads it for all."""
        found = self._found
        if found is None or clock.monotonic() - found[0] >= self._lasts_s:
            with self._lock:
                found = self._found
                if found is None or clock.monotonic() - found[0] >= self._lasts_s:
                    found = self._found = (clock.monotonic(), self._read())
        return found[1]

    def forget(self) -> None:
        """Makes the next call read the value."""
        self._found = None
