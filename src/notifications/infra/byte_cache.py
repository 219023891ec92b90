"""A cache with a limit in bytes, because one value may be as large as a thousand others."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ByteCache(Generic[K, V]):
    """Stores the values used last, up to `most` bytes. A value larger than that is not stored.

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

    def find(self, key: K) -> V | None:
        """Returns the value of a key; None where it is not stored."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: K, made: V) -> None:
        """Stores the value of a key, in place of those that were not used for longest."""
        with self._lock:
            if key not in self._values and self._size(made) <= self._most:
                self._values[key] = made
                self._held += self._size(made)
            while self._held > self._most:
                _, gone = self._values.popitem(last=False)
                self._held -= self._size(gone)

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Returns the value of a key. A missing value is made; errors of `make` are raised."""
        found = self.find(key)
        if found is not None:
            return found
        made = make()
        self.put(key, made)
        return made

    def clear(self) -> None:
        """Removes all values."""
        with self._lock:
            self._values.clear()
            self._held = 0
