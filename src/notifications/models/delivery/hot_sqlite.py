"""Hot statements for SQLite, with `executemany` on the raw connection."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from notifications.models.delivery.hot_rows import (
    ATTEMPT_COLUMNS,
    HALTED_SOURCES,
    LOAD_COLUMNS,
    Change,
    PendingMessage,
    Recheck,
    changeable_from,
)


def time_value(moment: datetime | None) -> str | None:
    """Returns a time as Django stores it: naive UTC text, which sorts like the time."""
    return None if moment is None else str(moment.astimezone(UTC).replace(tzinfo=None))


def parse_time(value: datetime | None) -> datetime | None:
    """Returns a column's value as an aware time; Django's converters return a naive one."""
    return None if value is None else value.replace(tzinfo=UTC)


class RawConnection:
    """The sqlite3 connection under Django's, without query rewriting and debug wrapper.

    Its errors are Django's: callers that wait for an unavailable database recognize them.
    """

    def __init__(self, wrapped: sqlite3.Connection) -> None:
        self._wrapped = wrapped

    def execute(self, statement: str, values: Sequence[Any] = ()) -> RawRows:
        """Runs a statement."""
        with connection.wrap_database_errors:
            return RawRows(self._wrapped.execute(statement, values))

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> RawRows:
        """Runs a statement once for each row of values."""
        with connection.wrap_database_errors:
            return RawRows(self._wrapped.executemany(statement, rows))


class RawRows:
    """The result of a statement. Rows after the first are read only when they are requested."""

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor
        self.lastrowid: int = cursor.lastrowid or 0
        self.rowcount = cursor.rowcount

    def __iter__(self) -> Iterator[Any]:
        return iter(self.fetchall())

    def fetchall(self) -> list[Any]:
        """Returns the remaining rows."""
        with connection.wrap_database_errors:
            return self._cursor.fetchall()

    def fetchone(self) -> Any:
        """Returns the next row; None at the end."""
        with connection.wrap_database_errors:
            return self._cursor.fetchone()


def raw() -> RawConnection:
    """Returns the connection of this thread, opened if needed."""
    connection.ensure_connection()
    return RawConnection(connection.connection)


def inserts_together(rows: int) -> AbstractContextManager[None]:
    return nullcontext()


def insert_rows(table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    marks = ", ".join(["?"] * len(columns))
    names = ", ".join(columns)
    raw().executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)  # noqa: S608


_LOAD = (
    f"SELECT {LOAD_COLUMNS}"  # noqa: S608 -- constant text
    " FROM notifications_notificationmessage m"
    " JOIN notifications_notification n ON n.id = m.notification_id"
    " WHERE {which} AND m.status = 'pending' ORDER BY m.id"
)
_LOAD_RUN = _LOAD.format(which="m.id BETWEEN ? AND ?")
_LOAD_LIST = _LOAD.format(which="m.id IN (SELECT value FROM json_each(?))")
_EXPIRES = PendingMessage._fields.index("expires_at")


def load_pending(keys: Sequence[int]) -> list[PendingMessage]:
    first, last = min(keys, default=0), max(keys, default=0)
    if last - first + 1 == len(keys):
        rows = raw().execute(_LOAD_RUN, (first, last)).fetchall()
    else:
        rows = raw().execute(_LOAD_LIST, (json.dumps(list(keys)),)).fetchall()
    return [_message(row) for row in rows]


def _message(row: tuple[Any, ...]) -> PendingMessage:
    message = PendingMessage._make(row)
    if row[_EXPIRES] is None:
        return message
    return message._replace(expires_at=parse_time(row[_EXPIRES]))


def insert_attempts(rows: Sequence[Sequence[Any]]) -> None:
    insert_rows("notifications_deliveryattempt", ATTEMPT_COLUMNS, rows)


def recheck(keys: Sequence[int], kind: str, addresses: Sequence[str]) -> Recheck:
    rows = raw().execute(
        "SELECT 'pending', id, batch_id FROM notifications_notificationmessage"  # noqa: S608 -- constant
        " WHERE id IN (SELECT value FROM json_each(?)) AND status = 'pending'"
        " UNION ALL SELECT 'stop', scope, value FROM notifications_killswitch"
        f" UNION ALL SELECT 'stop', {HALTED_SOURCES}"
        " UNION ALL SELECT 'suppressed', address, '' FROM directory_suppression"
        " WHERE kind = ? AND address IN (SELECT value FROM json_each(?))",
        (json.dumps(list(keys)), kind, json.dumps(list(addresses))),
    )
    return Recheck.of(rows.fetchall())


def still_pending(keys: Sequence[int]) -> set[int]:
    rows = raw().execute(
        "SELECT id FROM notifications_notificationmessage"
        " WHERE id IN (SELECT value FROM json_each(?)) AND status = 'pending'",
        (json.dumps(list(keys)),),
    )
    return {row[0] for row in rows}


# A list of more than two makes SQLite build a table of it for each row that is written.
_APPLY = """
UPDATE notifications_notificationmessage SET
  status = ?2, attempts = ?3, provider = coalesce(?4, provider),
  provider_message_id = coalesce(?5, provider_message_id), last_error = ?6,
  trail = CASE WHEN trail IS NULL THEN ?7 ELSE trail || ',' || ?7 END,
  batch_id = coalesce(?8, batch_id),
  scheduled_at = coalesce(?9, scheduled_at), sent_at = coalesce(?10, sent_at),
  delivered_at = coalesce(?11, delivered_at)
WHERE id = ?1 AND batch_id = ?12 AND status IN (?13, ?14)
"""


def apply_changes(changes: Iterable[Change]) -> set[int]:
    rows: list[tuple[Any, ...]] = [
        (
            *change[:8],
            *(time_value(moment) for moment in change[8:11]),
            change[11],
            *changeable_from(change.status),
        )
        for change in changes
    ]
    if not rows:
        return set()
    database = raw()
    database.execute("SAVEPOINT applied")
    if database.executemany(_APPLY, rows).rowcount != len(rows):
        # Rare: another process changed some, or this record is repeated after its commit. Which
        # rows change cannot be seen afterwards: a repeated result is what the row has already.
        database.execute("ROLLBACK TO applied")
        rows = _changeable(rows)
        database.executemany(_APPLY, rows)
    database.execute("RELEASE applied")
    return {row[0] for row in rows}


def _changeable(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Returns those of the rows that _APPLY would change."""
    found = raw().execute(
        "SELECT id, batch_id, status FROM notifications_notificationmessage"
        " WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps([row[0] for row in rows]),),
    )
    stored = {key: (batch_id, status) for key, batch_id, status in found}
    return [
        row
        for row in rows
        if row[0] in stored and stored[row[0]][0] == row[11] and stored[row[0]][1] in row[12:14]
    ]


def count_by_status(first: int, last: int, job_id: int) -> dict[str, int]:
    rows = raw().execute(
        "SELECT m.status, count(*) FROM notifications_notificationmessage m"
        " JOIN notifications_notification n ON n.id = m.notification_id"
        " WHERE m.id BETWEEN ? AND ? AND n.id BETWEEN ? AND ? AND n.job_id = ? GROUP BY m.status",
        (first, last, first, last, job_id),
    )
    return dict(rows.fetchall())
