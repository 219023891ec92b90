"""Deletes rows that are no longer needed, in small steps, until none is left or the time is over.

A step is one short transaction: it finds rows by an indexed column, the oldest first, and deletes
them. Its size follows from the duration of the last step. After a step this pauses for as long as
the step took, so that other transactions can run. The tables alternate, so that a large table
delays no other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import QuerySet

from notifications.infra import clock

STEP_S = 0.05
STEP_SQLITE_S = 0.01  # SQLite has one writer: a request may wait for this one
_FIRST, _MOST = 200, 5_000
_GROWTH = 4
_LONGEST_REST_S = 0.05


class Step(NamedTuple):
    """What one transaction did."""

    #: Rows that it found; fewer than requested at the end of the table.
    found: int
    deleted: int
    #: From its first statement to its last.
    seconds: float


Deletion = Callable[[int], Step]
"""Deletes at most the given number of rows."""


def oldest(rows: QuerySet[Any]) -> Deletion:
    """Returns a deletion of the first of these rows, which are ordered as an index.

    Rows that another transaction has locked are skipped.
    """

    def delete(count: int) -> Step:
        with transaction.atomic():
            began = clock.monotonic()
            found = rows.select_for_update(skip_locked=True).values_list("pk", flat=True)
            keys = list(found[:count])
            if keys:
                rows.model._default_manager.filter(pk__in=keys).delete()
            return Step(len(keys), len(keys), clock.monotonic() - began)

    return delete


def walk(rows: QuerySet[Any], expired: Callable[[QuerySet[Any]], QuerySet[Any]]) -> Deletion:
    """Returns a deletion that reads a table once by its key, and deletes the expired rows.

    It is for a small table whose columns change too often to be indexed.
    """
    reached = 0

    def delete(count: int) -> Step:
        nonlocal reached
        with transaction.atomic():
            began = clock.monotonic()
            part = rows.filter(pk__gt=reached).order_by("pk")
            keys = list(part.values_list("pk", flat=True)[:count])
            deleted = expired(rows.filter(pk__in=keys)).delete()[0] if keys else 0
            if keys:
                reached = keys[-1]
            return Step(len(keys), deleted, clock.monotonic() - began)

    return delete


@dataclass(slots=True)
class _Table:
    """A table whose rows are being deleted."""

    name: str
    delete: Deletion
    #: Rows of the next step.
    size: int = _FIRST
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
    rest: Callable[[float], object] = time.sleep,
) -> dict[str, int]:
    """Deletes until no row is left or the monotonic time `until`; returns the rows by table name.

    Every table gets one step at least. guard: runs a step by its name; it returns None for a step
    that failed, which ends its table.
    """
    wanted_s = STEP_SQLITE_S if connection.vendor == "sqlite" else STEP_S
    tables = [_Table(name, delete) for name, delete in deletions.items()]
    left = list(tables)
    first = True
    while left and (first or clock.monotonic() < until):
        for table in tuple(left):
            if not first and clock.monotonic() >= until:
                break
            step = guard(table.name, partial(table.delete, table.size))
            if step is None or table.add_step(step, wanted_s):
                left.remove(table)
            if step is not None and step.deleted:
                rest(min(step.seconds, _LONGEST_REST_S))
        first = False
    return {table.name: table.deleted for table in tables}
