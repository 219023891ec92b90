"""Deletes rows that no longer count, a little at a time, until none is left or the time is over.

A step is one short transaction: it finds rows by an indexed column, oldest first, and deletes them.
Its size follows how long the last one took. Between two steps it rests for as long, so that others
get their turn; the tables take turns, so that a great one holds up no other.
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
    """What one transaction did. looked: rows it found, fewer than it asked for at the end of them;
    seconds: from its first statement to its last."""

    looked: int
    deleted: int
    seconds: float


Deletion = Callable[[int], Step]
"""Deletes at most so many rows."""


def oldest(rows: QuerySet[Any]) -> Deletion:
    """Deletes the first of these rows. Their order is that of an index; what somebody else has
    locked is passed over."""

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
    """Goes through a table by its key once, and deletes what has expired of each part: for a small
    table whose columns change too often to be in an index."""
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
    """A table under way. size: rows of the next step."""

    name: str
    delete: Deletion
    size: int = _FIRST
    deleted: int = 0

    def done(self, step: Step, wanted_s: float) -> bool:
        """Takes in a step; whether it was the last."""
        asked, self.deleted = self.size, self.deleted + step.deleted
        share = wanted_s / max(step.seconds, wanted_s / _GROWTH)
        self.size = max(1, min(_MOST, int(asked * share)))
        return step.looked < asked


def delete_expired(
    deletions: Mapping[str, Deletion],
    *,
    until: float,
    guard: Callable[[str, Callable[[], Step]], Step | None],
    rest: Callable[[float], object] = time.sleep,
) -> dict[str, int]:
    """Deletes until nothing is left or the monotonic time `until` has come; rows by name.

    Every table has one step at least. guard: runs a step by its name; None for one that failed,
    which ends its table.
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
            if step is None or table.done(step, wanted_s):
                left.remove(table)
            if step is not None and step.deleted:
                rest(min(step.seconds, _LONGEST_REST_S))
        first = False
    return {table.name: table.deleted for table in tables}
