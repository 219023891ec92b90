"""Deletes rows that are no longer needed, in small steps, until none is left or the time is over.

A step is one short transaction. Its size follows from the duration of the last step. After a step
this pauses for as long as the step took, so that other transactions can run. Before a step it waits
a moment for urgent work. The tables alternate, so that a large table delays no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from notifications.features.background.giving_way import LONGEST_REST_S, StepSize, give_way
from notifications.infra import clock, ports

_FIRST, _MOST = 200, 5_000


class Step(NamedTuple):
    """What one transaction did."""

    #: Rows that it found; fewer than requested at the end of the table.
    found: int
    deleted: int
    #: From its first statement to its last.
    seconds: float


Deletion = Callable[[int], Step]
"""Deletes at most the given number of rows."""


@dataclass(slots=True)
class _Table:
    """A table whose rows are being deleted."""

    name: str
    delete: Deletion
    size: StepSize
    deleted: int = 0

    def add_step(self, step: Step) -> bool:
        """Adds the result of a step and sets the next size; returns whether it was the last."""
        requested, self.deleted = self.size.rows, self.deleted + step.deleted
        self.size.add(step.seconds)
        return step.found < requested


def delete_expired(
    deletions: Mapping[str, Deletion],
    *,
    until: float,
    guard: Callable[[str, Callable[[], Step]], Step | None],
    rest: Callable[[float], object] | None = None,
    urgent: Callable[[], bool] = lambda: False,
) -> dict[str, int]:
    """Deletes until no row is left or the monotonic time `until`; returns the rows by table name.

    Every table gets one step at least. guard: runs a step by its name; it returns None for a step
    that failed, which ends its table. rest: how to pause for some seconds. urgent: returns whether
    other work should come first.
    """
    rest = rest or ports.sleep
    tables = [
        _Table(name, delete, StepSize(_FIRST, most=_MOST)) for name, delete in deletions.items()
    ]
    left = list(tables)
    first = True
    while left and (first or clock.monotonic() < until):
        for table in tuple(left):
            if not first and clock.monotonic() >= until:
                break
            give_way(urgent, rest)
            step = guard(table.name, partial(table.delete, table.size.rows))
            if step is None or table.add_step(step):
                left.remove(table)
            if step is not None and step.deleted:
                rest(min(step.seconds, LONGEST_REST_S))
        first = False
    return {table.name: table.deleted for table in tables}
