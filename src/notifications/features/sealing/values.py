"""New values of stored rows, and the statement that writes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from django.db import connection

Stored = bytes | str | int | None


class NewValue(NamedTuple):
    """A new value of one column of one row. It is written where the old value is still there."""

    id: int
    column: str
    old: Stored
    new: Stored


class SealedPage(NamedTuple):
    """What one step has read and sealed, to be written in one transaction."""

    #: The key of its last row.
    position: int
    rows: int
    #: Writes the page; returns how many rows it changed.
    write: Callable[[], int]


_TYPES: dict[type, str] = {bytes: "bytea", str: "text", int: "bigint"}


def write(table: str, changes: Iterable[NewValue]) -> int:
    """Writes changes in the caller's transaction; returns how many rows it changed.

    A row that was emptied, deleted or changed meanwhile stays as it is.
    """
    by_column: dict[str, list[NewValue]] = defaultdict(list)
    for change in changes:
        by_column[change.column].append(change)
    if not by_column:
        return 0
    ids = sorted({change.id for part in by_column.values() for change in part})
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                f"SELECT id FROM {table} WHERE id = ANY(%s) ORDER BY id FOR UPDATE",  # noqa: S608
                [ids],
            )
        for column, part in by_column.items():
            if connection.vendor == "postgresql":
                _write_postgres(cursor, table, column, part)
            else:
                cursor.executemany(
                    f"UPDATE {table} SET {column} = %s WHERE id = %s AND {column} IS %s",  # noqa: S608
                    [(change.new, change.id, change.old) for change in part],
                )
    return len(ids)


def _write_postgres(cursor: object, table: str, column: str, part: Sequence[NewValue]) -> None:
    kind = _TYPES[next(type(each) for each in (part[0].old, part[0].new) if each is not None)]
    cursor.execute(  # type: ignore[attr-defined]  # Django's cursor has no public type
        f"UPDATE {table} AS t SET {column} = v.new"  # noqa: S608 -- constant names
        f" FROM unnest(%s::bigint[], %s::{kind}[], %s::{kind}[]) AS v(id, old, new)"
        f" WHERE t.id = v.id AND t.{column} IS NOT DISTINCT FROM v.old",
        [
            [change.id for change in part],
            [change.old for change in part],
            [change.new for change in part],
        ],
    )
