"""Inserts thousands of new rows at once: COPY on PostgreSQL, one prepared statement on SQLite.

Django's bulk_create prepares every value of every row separately. That takes half the time of an
import.
"""

from __future__ import annotations

import functools
import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from itertools import repeat
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection, models

from vault.sealed import SealedColumn, SealedText

Row = TypeVar("Row", bound=models.Model)
_SPECIAL = re.compile(r"[\\\n\t\r]")
Insert = Callable[[type[models.Model], Sequence[str], Sequence[Sequence[Any]]], None]
"""Takes a model, names of columns, and rows of their values."""


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


@contextmanager
def copying() -> Iterator[Insert]:
    """Yields `insert_values`; on PostgreSQL in a form that does not wait for the server.

    Rows are written in another thread, one call after another, while the caller prepares the next
    ones. The block ends when all are written. No other statement may run in it.

    Raises:
        IntegrityError: as for an INSERT.
    """
    if connection.vendor != "postgresql":
        yield insert_values
        return
    connection.ensure_connection()
    raw = connection.connection
    running: list[Future[None]] = []
    with connection.wrap_database_errors, ThreadPoolExecutor(1, "copy") as pool:

        def insert(
            model: type[models.Model], columns: Sequence[str], rows: Sequence[Sequence[Any]]
        ) -> None:
            if rows:
                running.append(pool.submit(_copy, raw, model, columns, copy_text(rows)))

        yield insert
        for each in running:
            each.result()


def maker_of(model: type[Row]) -> Callable[[dict[str, Any]], Row]:
    """Returns a function that makes unsaved objects of columns, with defaults for the others.

    It does what the model's constructor does, without its signals and without its checks of names.
    That takes a fifth of the time, which counts for thousands of rows.
    """
    fixed, called = {}, []
    for each in model._meta.concrete_fields:
        if each.has_default() and callable(each.default):
            called.append((each.attname, each.default))
        else:
            fixed[each.attname] = each.get_default()

    def make(columns: dict[str, Any]) -> Row:
        made = model.__new__(model)
        values = made.__dict__
        values["_state"] = models.base.ModelState()
        values.update(fixed)
        values.update(columns)
        for name, default in called:
            if name not in columns:
                values[name] = default()
        return made

    return make


def insert_rows(made: Sequence[models.Model], insert: Insert | None = None) -> None:
    """Inserts objects of one model with all columns; an id that is missing is left out.

    The objects do not receive the ids that the database gives.

    Args:
        insert: what writes the rows; `insert_values` by default.

    Raises:
        IntegrityError: as for an INSERT.
    """
    if not made:
        return
    options = made[0]._meta
    fields = [f for f in options.concrete_fields if not f.primary_key or made[0].pk is not None]
    columns = [_reader(field)(made) for field in fields]
    rows = list(zip(*columns, strict=True))
    (insert or insert_values)(type(made[0]), [field.column or "" for field in fields], rows)


def insert_values(
    model: type[models.Model], columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Inserts rows of these columns. Their values are as the database's driver takes them.

    Raises:
        IntegrityError: as for an INSERT.
    """
    if not rows:
        return
    connection.ensure_connection()
    if connection.vendor == "postgresql":
        with connection.wrap_database_errors:
            _copy(connection.connection, model, columns, copy_text(rows))
        return
    marks = ", ".join(["%s"] * len(columns))
    with connection.cursor() as cursor:
        cursor.executemany(
            f'INSERT INTO "{model._meta.db_table}" ({_names(columns)}) VALUES ({marks})',  # noqa: S608 -- names of a model
            rows,
        )


def _copy(raw: Any, model: type[models.Model], columns: Sequence[str], text: str) -> None:
    """Writes rows in the text format of COPY over a connection of psycopg."""
    copy_in = f'COPY "{model._meta.db_table}" ({_names(columns)}) FROM STDIN'
    with raw.cursor() as cursor, cursor.copy(copy_in) as copy:
        copy.write(text)


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


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
    kinds = set(map(type, values))
    if kinds == {int}:
        return map(str, values)
    if kinds == {str} and not _SPECIAL.search("".join(values)):
        return values
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
