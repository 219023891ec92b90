"""Finds which periodic loops have work, in one statement.

An idle process asks the database once a second, instead of running a round of each loop. A round
takes milliseconds, because Django compiles its queries; the statement takes some 50 us.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.db.models import QuerySet

Condition = Callable[[datetime], Sequence[QuerySet[Any]] | bool]
"""Returns, for the present time, queries of which any has a row while a loop has work; or whether
it has work, where that needs no query."""

_NOW = datetime(2100, 1, 1, 12, 34, 56, 789_012, UTC)
"""Stands for the present time in the compiled statements."""


class WorkProbe:
    """The conditions of some loops, compiled once.

    Args:
        conditions: of each loop, by its name. They must hold whenever a round would find work, and
            may hold more often. They may use the time only as they get it.
    """

    def __init__(self, conditions: Mapping[str, Condition]) -> None:
        self.names = frozenset(conditions)
        self._conditions = conditions
        self._compiled: dict[str, tuple[str, list[Any]]] = {}

    def find(self, names: Collection[str], now: datetime) -> set[str]:
        """Returns which of these loops have work."""
        found: set[str] = set()
        parts: list[tuple[str, list[Any]]] = []
        for name in sorted(self.names.intersection(names)):
            part = self._part(name)
            if part is not None:
                parts.append(part)
            elif self._conditions[name](now):
                found.add(name)
        if not parts:
            return found
        at, shown = self._adapted(now), self._adapted(_NOW)
        values = [at if each == shown else each for _, given in parts for each in given]
        with connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(sql for sql, _ in parts), values)
            return found.union(row[0] for row in cursor.fetchall())

    def _part(self, name: str) -> tuple[str, list[Any]] | None:
        """Returns a statement that yields the loop's name while it has work, and its values.

        None for a loop whose condition needs no query.
        """
        if name not in self._compiled:
            queries = self._conditions[name](_NOW)
            if isinstance(queries, bool):
                return None
            tests: list[str] = []
            values: list[Any] = [name]
            for rows in queries:
                sql, given = rows.order_by().query.exists().sql_with_params()
                tests.append(f"EXISTS ({sql})")
                values += given
            self._compiled[name] = f"SELECT %s AS name WHERE {' OR '.join(tests)}", values
        return self._compiled[name]

    @staticmethod
    def _adapted(moment: datetime) -> Any:
        return connection.ops.adapt_datetimefield_value(moment)
