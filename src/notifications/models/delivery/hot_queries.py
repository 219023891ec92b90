"""Plain SQL reads for both databases, several of them in one round trip.

At PostgreSQL a read costs less than the way to it and back. Reads that need nothing of each other
are sent together (its pipeline); SQLite is in the same process, and runs them one by one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from notifications.models.delivery import hot_postgres, hot_sqlite

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A statement that returns rows.

    In the SQL, `{users}` stands for a list of ids, `{texts}` for a list of texts and `{mark}` for
    one text: "= ANY" of an array on PostgreSQL, "IN" on SQLite. `values` has them in order.
    """

    sql: str
    values: tuple[Any, ...] = ()


def fetch(query: Query) -> list[Row]:
    """Runs one statement."""
    if connection.vendor == "sqlite":
        return _fetch_sqlite([query])[0]
    with hot_postgres.raw() as cursor:
        cursor.execute(*_bound(query))
        return cursor.fetchall()


def fetch_together(queries: Sequence[Query]) -> list[list[Row]]:
    """Runs statements in one round trip; returns the rows of each.

    Outside of a transaction, each statement sees what is committed when it begins.
    """
    if connection.vendor == "sqlite":
        return _fetch_sqlite(queries)
    with hot_postgres.pipeline() as open_cursor:
        cursors = [open_cursor() for _ in queries]
        for cursor, query in zip(cursors, queries, strict=True):
            cursor.execute(*_bound(query))
        return [cursor.fetchall() for cursor in cursors]


def _bound(query: Query) -> tuple[str, list[Any]]:
    text = query.sql.format(users="= ANY(%s::bigint[])", texts="= ANY(%s::text[])", mark="%s")
    return text, [v if isinstance(v, str) else hot_postgres.array(v) for v in query.values]


def _fetch_sqlite(queries: Sequence[Query]) -> list[list[Row]]:
    database, among = hot_sqlite.raw(), "IN (SELECT value FROM json_each(?))"
    found: list[list[Row]] = []
    for query in queries:
        text = query.sql.format(users=among, texts=among, mark="?")
        given = [v if isinstance(v, str) else json.dumps(list(v)) for v in query.values]
        found.append(database.execute(text, given).fetchall())
    return found
