"""Finds which periodic loops have work, in one statement.

An idle process asks the database once a second, instead of running a round of each loop. A round
takes milliseconds, because Django compiles its queries; the statement takes some 50 us.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import QuerySet

from notifications.models.delivery import hot_sqlite

Condition = Callable[[datetime], Sequence[QuerySet[Any]] | bool]
"""Returns, for the present time, queries of which any has a row while a loop has work; or whether
it has work, where that needs no query."""

_NOW = datetime(2100, 1, 1, 12, 34, 56, 789_012, UTC)
"""Stands for the present time in the compiled statements."""


class _Statement(NamedTuple):
    """One statement for the conditions of some loops."""

    names: frozenset[str]
    #: Empty where no condition needs a query.
    sql: str
    values: list[Any]
    #: Which values stand for the present time.
    times: list[int]
    #: The loops whose condition needs no query.
    without_query: list[str]


def _fetch(sql: str, values: list[Any]) -> list[Any]:
    """Returns the rows of a statement. SQLite's text is not converted again at each call."""
    if connection.vendor == "sqlite":
        return list(hot_sqlite.raw().execute(sql, values).fetchall())
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


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
        #: The statement of the loops that were looked at last: mostly they stay the same.
        self._last = _Statement(frozenset(), "", [], [], [])

    def find(self, names: Collection[str], now: datetime) -> set[str]:
        """Returns which of these loops have work."""
        wanted = self.names.intersection(names)
        if wanted != self._last.names:
            self._last = self._joined(wanted)
        last = self._last
        found = {name for name in last.without_query if self._conditions[name](now)}
        if last.sql:
            values = list(last.values)  # two threads may look at once
            at = self._adapted(now)
            for place in last.times:
                values[place] = at
            found.update(row[0] for row in _fetch(last.sql, values))
        return found

    def _joined(self, names: frozenset[str]) -> _Statement:
        parts = {name: self._part(name) for name in sorted(names)}
        queries = [part for part in parts.values() if part is not None]
        values = [each for _, given in queries for each in given]
        shown = self._adapted(_NOW)
        return _Statement(
            names,
            " UNION ALL ".join(sql for sql, _ in queries),
            values,
            [place for place, each in enumerate(values) if each == shown],
            [name for name, part in parts.items() if part is None],
        )

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
            text = f"SELECT %s AS name WHERE {' OR '.join(tests)}"
            if connection.vendor == "sqlite":
                text = text.replace("%s", "?")
            self._compiled[name] = text, values
        return self._compiled[name]

    @staticmethod
    def _adapted(moment: datetime) -> Any:
        return connection.ops.adapt_datetimefield_value(moment)
