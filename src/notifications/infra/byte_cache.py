"""A cache that is bounded by bytes: of its values one may be as large as a thousand others."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ByteCache(Generic[K, V]):
    """Keeps what was used last, up to so many bytes together. What alone is larger is not kept.

    Args:
        most: bytes.
        size: of a value, in bytes.
    """

    def __init__(self, most: int, size: Callable[[V], int]) -> None:
        self._most = most
        self._size = size
        self._held = 0
        self._values: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value of a key; made where it is not kept. What `make` raises is raised."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        made = make()
        with self._lock:
            if key not in self._values and self._size(made) <= self._most:
                self._values[key] = made
                self._held += self._size(made)
            while self._held > self._most:
                _, gone = self._values.popitem(last=False)
                self._held -= self._size(gone)
        return made

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._values.clear()
            self._held = 0
