"""Plain SQL over lists of keys, for both databases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.db import connection

from notifications.models.delivery.hot_postgres import array


def key_list(keys: Sequence[int]) -> str:
    """Returns a list of keys as one value of a statement, as `among` needs it."""
    return array(keys) if connection.vendor == "postgresql" else json.dumps(list(keys))


def changed(sql: str, *values: Any) -> int:
    """Runs a statement; returns how many rows it changed."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return max(0, int(cursor.rowcount))


def fetched(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Runs a statement; returns its rows."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def use_indexes() -> None:
    """Makes PostgreSQL use indexes in this transaction, whatever its statistics say.

    All statements of the upkeep find rows by keys. Without statistics the planner may read a table.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
