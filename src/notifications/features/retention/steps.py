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

from django.db import connection

from notifications.infra import clock, ports

STEP_S = 0.035
STEP_SQLITE_S = 0.007  # SQLite has one writer: a request may wait for this one
"""How long a step should take. It may take 50 ms, and 10 ms on SQLite: steps vary by a third."""
_FIRST, _MOST = 200, 5_000
_GROWTH = 4
_LONGEST_REST_S = 0.05
_URGENT_S, _LOOK_S = 0.05, 0.005
"""How long a step waits for urgent work at most, and how often it looks."""


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
    #: Rows of the next step.
    size: int
    deleted: int = 0

    def add_step(self, step: Step, wanted_s: float) -> bool:
        """Adds the result of a step and sets the next size; returns whether it was the last."""
        requested, self.deleted = self.size, self.deleted + step.deleted
        share = wanted_s / max(step.seconds, wanted_s / _GROWTH)
        self.size = max(1, min(_MOST, int(requested * share)))
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
    wanted_s = STEP_SQLITE_S if connection.vendor == "sqlite" else STEP_S
    tables = [_Table(name, delete, _FIRST) for name, delete in deletions.items()]
    left = list(tables)
    first = True
    while left and (first or clock.monotonic() < until):
        for table in tuple(left):
            if not first and clock.monotonic() >= until:
                break
            _give_way(urgent, rest)
            step = guard(table.name, partial(table.delete, table.size))
            if step is None or table.add_step(step, wanted_s):
                left.remove(table)
            if step is not None and step.deleted:
                rest(min(step.seconds, _LONGEST_REST_S))
        first = False
    return {table.name: table.deleted for table in tables}


def _give_way(urgent: Callable[[], bool], rest: Callable[[float], object]) -> None:
    waited_s = 0.0
    while waited_s < _URGENT_S and urgent():
        rest(_LOOK_S)
        waited_s += _LOOK_S
