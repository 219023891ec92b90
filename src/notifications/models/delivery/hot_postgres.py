"""Hot statements for PostgreSQL, with COPY and `unnest`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
from django.db import connection

from directory.rows import copy_text
from notifications.models.delivery.hot_rows import (
    ATTEMPT_COLUMNS,
    HALTED_SOURCES,
    LOAD_COLUMNS,
    Change,
    PendingMessage,
    Recheck,
    may_change,
)

_COPY_FROM = 20  # rows; below it one INSERT needs fewer round trips


@contextmanager
def raw() -> Iterator[psycopg.Cursor[tuple[Any, ...]]]:
    """Yields a psycopg cursor that binds values on the server. Its errors are Django's.

    Django's own cursor writes values into the text, which costs twice as much for statements with
    thousands of values.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        yield cursor


@contextmanager
def pipeline() -> Iterator[Callable[[], psycopg.Cursor[tuple[Any, ...]]]]:
    """Yields what opens cursors as `raw` does. Their statements are sent together.

    A response is awaited when the first rows are fetched, so all statements take one round trip.
    """
    connection.ensure_connection()
    session: psycopg.Connection[Any] = connection.connection
    with connection.wrap_database_errors, session.pipeline():
        yield lambda: psycopg.Cursor(session)


def array(values: Iterable[Any]) -> str:
    """Returns a PostgreSQL array literal of numbers, flags, texts, bytes and times; None is NULL.

    psycopg's own list dumper looks up the type of every element. This costs a fifth, and the
    statements of a record have some 1,700 elements. Most columns of a record have one value.
    """
    items = values if isinstance(values, list | tuple) else list(values)
    if not items:
        return "{}"
    if items.count(items[0]) == len(items):
        return "{" + ",".join([_element(items[0])] * len(items)) + "}"
    return "{" + ",".join(map(_element, items)) + "}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    kind = type(value)
    if kind is int:
        return str(value)
    if isinstance(value, str):
        if "\\" in value or '"' in value:
            value = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{value}"'
    if kind is bytes:
        return f'"\\\\x{value.hex()}"'
    if kind is bool:
        return "t" if value else "f"
    if isinstance(value, datetime):
        return f'"{value.isoformat()}"'
    raise TypeError(f"no array element: {kind.__name__}")


def time_value(moment: datetime | None) -> datetime | None:
    return moment


@contextmanager
def inserts_together(rows: int) -> Iterator[None]:
    if rows >= _COPY_FROM:  # a pipeline cannot COPY
        yield
        return
    with pipeline():
        yield


def insert_rows(table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    names = ", ".join(columns)
    with raw() as cursor:
        if len(rows) < _COPY_FROM:
            marks = ", ".join(["(" + ", ".join(["%s"] * len(columns)) + ")"] * len(rows))
            values = [value for row in rows for value in row]
            cursor.execute(f"INSERT INTO {table} ({names}) VALUES {marks}", values)  # noqa: S608
            return
        with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
            copy.write(copy_text(rows))


def load_pending(keys: Sequence[int]) -> list[PendingMessage]:
    with raw() as cursor:
        cursor.execute(
            f"SELECT {LOAD_COLUMNS}"  # noqa: S608 -- constant text
            " FROM notifications_notificationmessage m"
            " JOIN notifications_notification n ON n.id = m.notification_id"
            " WHERE m.id = ANY(%s) AND m.status = 'pending' ORDER BY m.id",
            [list(keys)],
        )
        return [PendingMessage._make(row) for row in cursor.fetchall()]


def insert_attempts(rows: Sequence[Sequence[Any]]) -> None:
    columns = [array(column) for column in zip(*rows, strict=True)]
    with raw() as cursor:
        cursor.execute(
            f"INSERT INTO notifications_deliveryattempt ({', '.join(ATTEMPT_COLUMNS)})"  # noqa: S608
            " SELECT * FROM unnest(%s::bigint[], %s::smallint[], %s::text[], %s::text[],"
            " %s::text[], %s::text[], %s::text[], %s::bytea[], %s::int[], %s::bigint[],"
            " %s::timestamptz[])",
            columns,
        )


def recheck(keys: Sequence[int], kind: str, addresses: Sequence[str]) -> Recheck:
    with raw() as cursor:
        cursor.execute(
            "SELECT 'pending', id::text, batch_id::text FROM notifications_notificationmessage"  # noqa: S608
            " WHERE id = ANY(%s) AND status = 'pending'"
            " UNION ALL SELECT 'stop', scope, value FROM notifications_killswitch"
            f" UNION ALL SELECT 'stop', {HALTED_SOURCES}"
            " UNION ALL SELECT 'suppressed', address, '' FROM directory_suppression"
            " WHERE kind = %s AND address = ANY(%s)",
            [list(keys), kind, list(addresses)],
        )
        return Recheck.of(cursor.fetchall())


def still_pending(keys: Sequence[int]) -> set[int]:
    with raw() as cursor:
        cursor.execute(
            "SELECT id FROM notifications_notificationmessage"
            " WHERE id = ANY(%s) AND status = 'pending'",
            [list(keys)],
        )
        return {row[0] for row in cursor.fetchall()}


# The CASE is for the planner, which must not use a row's batch and status as a filter. When its
# statistics have no pending row yet, it expects one row, and compares each row that there is with
# the whole slice: fifty million pairs.
_APPLY = f"""
UPDATE notifications_notificationmessage m SET
  status = v.status, attempts = v.attempts,
  provider = coalesce(v.provider, m.provider),
  provider_message_id = coalesce(v.provider_message_id, m.provider_message_id),
  last_error = v.last_error,
  trail = CASE WHEN m.trail IS NULL THEN v.trail ELSE m.trail || ',' || v.trail END,
  batch_id = coalesce(v.batch_id, m.batch_id),
  scheduled_at = coalesce(v.scheduled_at, m.scheduled_at),
  sent_at = coalesce(v.sent_at, m.sent_at),
  delivered_at = coalesce(v.delivered_at, m.delivered_at)
FROM unnest(%s::bigint[], %s::text[], %s::smallint[], %s::text[], %s::text[], %s::text[],
            %s::text[], %s::bigint[], %s::timestamptz[], %s::timestamptz[],
            %s::timestamptz[], %s::bigint[])
  AS v(id, status, attempts, provider, provider_message_id, last_error, trail, batch_id,
       scheduled_at, sent_at, delivered_at, from_batch)
WHERE m.id = v.id AND CASE WHEN m.batch_id = v.from_batch
                           THEN {may_change("m.status", "v.status")} ELSE false END
RETURNING m.id
"""  # noqa: S608 -- constant text


def apply_changes(changes: Iterable[Change]) -> set[int]:
    columns = [array(column) for column in zip(*changes, strict=True)]
    if not columns:
        return set()
    with raw() as cursor:
        cursor.execute(_APPLY, columns)
        return {row[0] for row in cursor.fetchall()}


def count_by_status(first: int, last: int, job_id: int) -> dict[str, int]:
    with raw() as cursor:
        cursor.execute(
            "SELECT m.status, count(*) FROM notifications_notificationmessage m"
            " JOIN notifications_notification n ON n.id = m.notification_id"
            " WHERE m.id BETWEEN %s AND %s AND n.id BETWEEN %s AND %s AND n.job_id = %s"
            " GROUP BY m.status",
            [first, last, first, last, job_id],
        )
        return dict(cursor.fetchall())
