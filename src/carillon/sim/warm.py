"""Restores the state of the product's modules after a run, so that another can follow.

The first run of a process costs more than the next: Django builds its tables of fields and lookups,
and Python adapts its code. A run must not change what the next one does. Therefore all state of the
product's own modules is as before afterwards, and its caches are empty.
"""

from __future__ import annotations

import functools
import sys
from collections import deque
from types import ModuleType
from typing import Any

_OURS = ("notifications", "directory", "carillon")
_CACHE = type(functools.lru_cache(int))


class State:
    """The names of all modules, classes and objects of the product, and what containers hold."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._names: list[tuple[Any, dict[str, Any]]] = []
        self._contents: list[tuple[Any, Any]] = []
        self._caches: list[Any] = []
        for name, module in tuple(sys.modules.items()):
            if name.partition(".")[0] in _OURS:
                self._visit(module)

    def restore(self) -> None:
        """Restores everything that has changed since, and empties all caches."""
        for owner, names in self._names:
            _restore_names(owner, names)
        for container, before in self._contents:
            _restore_contents(container, before)
        for cache in self._caches:
            cache.cache_clear()

    def _visit(self, found: Any) -> None:
        todo = [found]
        while todo:
            item = todo.pop()
            if id(item) in self._seen:
                continue
            self._seen.add(id(item))
            todo += self._record(item)

    def _record(self, item: Any) -> list[Any]:
        """Records one object; returns what it refers to."""
        if isinstance(item, _CACHE):
            self._caches.append(item)
            return []
        if isinstance(item, dict | list | set | deque):
            self._contents.append((item, _contents(item)))
            return list(item.values() if isinstance(item, dict) else item)
        if not _is_ours(item):
            return []
        names = dict(vars(item))
        self._names.append((item, names))
        return [_unwrapped(each) for each in names.values()]


def _is_ours(item: Any) -> bool:
    owner = item if isinstance(item, type) else type(item)
    name = item.__name__ if isinstance(item, ModuleType) else owner.__module__
    return str(name).partition(".")[0] in _OURS and hasattr(item, "__dict__")


def _unwrapped(item: Any) -> Any:
    """Returns the function of a static or class method, which may be a cache."""
    return item.__func__ if isinstance(item, staticmethod | classmethod) else item


def _restore_names(owner: Any, names: dict[str, Any]) -> None:
    now = dict(vars(owner))
    for name in now.keys() - names.keys():
        if not isinstance(now[name], ModuleType):  # an import is no state
            delattr(owner, name)
    for name, value in names.items():
        if name not in now or now[name] is not value:
            setattr(owner, name, value)


def _contents(container: Any) -> list[Any]:
    return list(container.items() if isinstance(container, dict) else container)


def _restore_contents(container: Any, before: list[Any]) -> None:
    now = _contents(container)
    if len(now) == len(before) and all(map(_is_same, now, before)):
        return
    container.clear()
    if isinstance(container, dict):
        container.update(dict(before))
    elif isinstance(container, set):
        container.update(before)
    else:
        container.extend(before)


def _is_same(one: Any, other: Any) -> bool:
    """Compares two elements, or two pairs of a dictionary, by identity."""
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other) == 2:
        return all(left is right for left, right in zip(one, other, strict=True))
    return one is other
