"""The statements for whole slices, with one implementation for each database.

`hot()` returns the implementation for the current connection. Plain reads have the same text for
both databases, but for lists: several of them take one round trip. Everything else uses the ORM.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from django.db import connection

from notifications.models.delivery import hot_postgres, hot_sqlite
from notifications.models.delivery.hot_rows import Change, PendingMessage, Recheck

NOTIFICATIONS = "notifications_notification"
MESSAGES = "notifications_notificationmessage"


class HotSQL(Protocol):
    """What each implementation provides."""

    def time_value(self, moment: datetime | None) -> Any:
        """Returns a datetime in the form that `insert_rows` accepts."""

    def inserts_together(self, rows: int) -> AbstractContextManager[None]:
        """Sends the inserts inside it in one round trip, if none has more than `rows` rows.

        The transaction has begun before.
        """

    def insert_rows(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Inserts rows. UUIDs are passed as 32 hex digits, times as `time_value` returns them."""

    def load_pending(self, keys: Sequence[int]) -> list[PendingMessage]:
        """Returns the messages among `keys` that are still pending, in the order of their keys."""

    def insert_attempts(self, rows: Sequence[Sequence[Any]]) -> None:
        """Inserts attempts, in the order of ATTEMPT_COLUMNS."""

    def recheck(self, keys: Sequence[int], kind: str, addresses: Sequence[str]) -> Recheck:
        """Reads again, with the batches locked, what must hold before messages are dispatched."""

    def still_pending(self, keys: Sequence[int]) -> set[int]:
        """Returns which of `keys` are pending now."""

    def apply_changes(self, changes: Iterable[Change]) -> set[int]:
        """Writes results to pending or uncertain messages; returns the keys that changed.

        The caller holds the locks of the messages' batches.
        """

    def count_by_status(self, first: int, last: int, job_id: int) -> dict[str, int]:
        """Counts the messages of a job by state; the job's keys lie in [first, last]."""


_IMPLEMENTATIONS: dict[str, HotSQL] = {
    "postgresql": hot_postgres,
    "sqlite": hot_sqlite,
}


@functools.cache
def hot() -> HotSQL:
    """Returns the implementation for the default connection; it is looked up once."""
    return _IMPLEMENTATIONS[connection.vendor]


Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class PlainQuery:
    """A statement that returns rows.

    In the SQL, `{users}` stands for a list of ids, `{texts}` for a list of texts and `{mark}` for
    one text: "= ANY" of an array on PostgreSQL, "IN" on SQLite. `values` has them in order.
    """

    sql: str
    values: tuple[Any, ...] = ()


def fetch(query: PlainQuery) -> list[Row]:
    """Runs one statement."""
    if connection.vendor == "sqlite":
        return _fetch_sqlite([query])[0]
    with hot_postgres.raw() as cursor:
        cursor.execute(*_bound(query))
        return cursor.fetchall()


def fetch_together(queries: Sequence[PlainQuery]) -> list[list[Row]]:
    """Runs statements in one round trip; returns the rows of each.

    At PostgreSQL a read costs less than the way to it and back, so reads that need nothing of each
    other are sent together (its pipeline). SQLite is in the same process, and runs them one by one.
    Outside of a transaction, each statement sees what is committed when it begins.
    """
    if connection.vendor == "sqlite":
        return _fetch_sqlite(queries)
    with hot_postgres.pipeline() as open_cursor:
        cursors = [open_cursor() for _ in queries]
        for cursor, query in zip(cursors, queries, strict=True):
            cursor.execute(*_bound(query))
        return [cursor.fetchall() for cursor in cursors]


def _bound(query: PlainQuery) -> tuple[str, list[Any]]:
    text = query.sql.format(users="= ANY(%s::bigint[])", texts="= ANY(%s::text[])", mark="%s")
    return text, [v if isinstance(v, str) else hot_postgres.array(v) for v in query.values]


def _fetch_sqlite(queries: Sequence[PlainQuery]) -> list[list[Row]]:
    database, among = hot_sqlite.raw(), "IN (SELECT value FROM json_each(?))"
    found: list[list[Row]] = []
    for query in queries:
        text = query.sql.format(users=among, texts=among, mark="?")
        given = [v if isinstance(v, str) else json.dumps(list(v)) for v in query.values]
        found.append(database.execute(text, given).fetchall())
    return found
