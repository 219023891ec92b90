"""Reads with a time limit, however much there is to read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

from notifications.infra import clock
from notifications.infra.conf import environment

_INSTRUCTIONS = 20_000  # of SQLite's machine between two checks of the clock: some 0.2 ms


@contextmanager
def limit_read_time(seconds: float) -> Iterator[None]:
    """Makes statements of the block raise OperationalError when they take too long.

    PostgreSQL limits each statement, SQLite all of them together.
    """
    if connection.vendor == "postgresql":
        with _within_postgres(seconds):
            yield
    else:
        with _within_sqlite(seconds):
            yield


@contextmanager
def _within_postgres(seconds: float) -> Iterator[None]:
    nested = connection.in_atomic_block
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {max(1, round(seconds * 1000))}")
        yield
        if nested:  # an error resets the setting with the savepoint
            usual = round(environment().database_statement_timeout_seconds * 1000)
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = {usual}")


@contextmanager
def _within_sqlite(seconds: float) -> Iterator[None]:
    connection.ensure_connection()
    database, until = connection.connection, clock.monotonic() + seconds
    database.set_progress_handler(lambda: clock.monotonic() > until, _INSTRUCTIONS)
    try:
        yield
    finally:
        database.set_progress_handler(None, 0)
