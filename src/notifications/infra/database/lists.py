"""Conditions on lists of keys, in plain SQL for both databases."""

from __future__ import annotations

from django.db import connection


def among(column: str) -> str:
    """Returns the condition that a column is in a list, which is one value of the statement.

    The value is an array for PostgreSQL, and JSON for SQLite.
    """
    if connection.vendor == "postgresql":
        return f"{column} = ANY(%s::bigint[])"
    return f"{column} IN (SELECT value FROM json_each(%s))"  # noqa: S608 -- a column of ours
