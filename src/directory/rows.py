"""Inserts thousands of new rows at once: COPY on PostgreSQL, one prepared statement on SQLite.

Django's bulk_create prepares every value of every row separately. That takes half the time of an
import.
"""

from __future__ import annotations

import functools
import json
import operator
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from itertools import repeat
from typing import Any
from uuid import UUID

from django.db import connection, models

from vault.sealed import SealedColumn, SealedText


def reserve_ids(model: type[models.Model], count: int) -> list[int]:
    """Reserves ids for rows that the caller inserts in the same transaction.

    No other process gets these ids. (On SQLite the transaction is the only writer.)
    """
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)",
                [table, count],
            )
            return [row[0] for row in cursor.fetchall()]
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
        row = cursor.fetchone()
    last = row[0] if row else 0
    return list(range(last + 1, last + count + 1))


def insert_rows(made: Sequence[models.Model]) -> None:
    """Inserts objects of one model with all columns; an id that is missing is left out.

    The objects do not receive the ids that the database gives.

    Raises:
        IntegrityError: as for an INSERT.
    """
    if not made:
        return
    options = made[0]._meta
    fields = [f for f in options.concrete_fields if not f.primary_key or made[0].pk is not None]
    columns = [_reader(field)(made) for field in fields]
    rows = list(zip(*columns, strict=True))
    insert_values(type(made[0]), [field.column or "" for field in fields], rows)


def insert_values(
    model: type[models.Model], columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Inserts rows of these columns. Their values are as the database's driver takes them.

    Raises:
        IntegrityError: as for an INSERT.
    """
    if not rows:
        return
    table = model._meta.db_table
    names = ", ".join(f'"{column}"' for column in columns)
    connection.ensure_connection()
    if connection.vendor == "postgresql":
        copy_in = f'COPY "{table}" ({names}) FROM STDIN'
        with (
            connection.wrap_database_errors,
            connection.connection.cursor() as cursor,
            cursor.copy(copy_in) as copy,
        ):
            copy.write(copy_text(rows))
        return
    marks = ", ".join(["%s"] * len(columns))
    with connection.cursor() as cursor:
        cursor.executemany(
            f'INSERT INTO "{table}" ({names}) VALUES ({marks})',  # noqa: S608 -- names of a model
            rows,
        )


def copy_text(rows: Sequence[Sequence[Any]]) -> str:
    """Returns rows in the text format of PostgreSQL's COPY.

    psycopg looks up the type of every value. This formats columns: one value for a whole column,
    where all rows have the same. It costs a quarter. All values of a column are of one type or
    None. https://www.postgresql.org/docs/current/sql-copy.html

    Raises:
        TypeError: a value is no number, flag, text, bytes, UUID or time.
    """
    columns = [_copy_column(values) for values in zip(*rows, strict=True)]
    lines = "\n".join(map("\t".join, zip(*columns, strict=True)))
    return f"{lines}\n" if rows else ""


def _copy_column(values: Sequence[Any]) -> Iterable[str]:
    first = values[0]
    if values.count(first) == len(values):
        return repeat(_copy_value(first), len(values))
    return map(_copy_value, values)


def _copy_value(value: Any) -> str:
    if value is None:
        return r"\N"
    kind = type(value)
    if kind is int:
        return str(value)
    if kind is bytes:
        return rf"\\x{value.hex()}"
    if isinstance(value, str):
        if "\\" in value or "\n" in value or "\t" in value or "\r" in value:
            value = value.replace("\\", "\\\\").replace("\n", "\\n")
            value = value.replace("\t", "\\t").replace("\r", "\\r")
        return str(value)
    if kind is bool:
        return "t" if value else "f"
    if isinstance(value, int | float | UUID):
        return str(value)
    if isinstance(value, date):  # a time is one, too
        return value.isoformat()
    if isinstance(value, bytearray | memoryview):
        return rf"\\x{value.hex()}"
    raise TypeError(f"no column value: {kind.__name__}")


def _reader(field: models.Field[Any, Any]) -> Callable[[Sequence[Any]], Iterable[Any]]:
    """Returns the function that reads the column of a field from objects."""
    if isinstance(field, SealedText):
        return field.columns_of_rows
    if isinstance(field, SealedColumn):
        return lambda made: [field.get_prep_value(field.pre_save(row, True)) for row in made]
    get, convert = operator.attrgetter(field.attname), _converter(field)
    if convert is None:
        return lambda made: map(get, made)
    if isinstance(field, models.DateTimeField):  # most rows of a batch have the same time
        convert = functools.lru_cache(maxsize=64)(convert)
    return lambda made: map(convert, map(get, made))


def _converter(field: models.Field[Any, Any]) -> Callable[[Any], Any] | None:
    """Returns the function that converts a value of the field, or None where none is needed."""
    kind = field.get_internal_type()
    if kind == "JSONField":
        return json.dumps
    if connection.vendor == "postgresql":
        return None
    if kind == "UUIDField":
        return lambda value: None if value is None else value.hex
    if kind == "DateTimeField":
        return connection.ops.adapt_datetimefield_value
    return None
