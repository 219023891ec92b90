"""Legal holds: the users whose rows must stay, whatever their age.

The feature that stores legal holds calls `add_hold_source` when Django is ready. The upkeep calls
`held_users` in the transaction of each step, so that a hold applies from the next step on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

HoldSource = Callable[[], Iterable[int]]
_sources: list[HoldSource] = []


def add_hold_source(source: HoldSource) -> None:
    """Registers a function that returns the ids of all users under a hold, in one short query."""
    if source not in _sources:
        _sources.append(source)


def remove_hold_source(source: HoldSource) -> None:
    """Removes a registered function."""
    if source in _sources:
        _sources.remove(source)


def held_users() -> frozenset[int]:
    """Returns the ids of all users under a hold; empty where no feature stores holds."""
    return frozenset(user for source in _sources for user in source())
