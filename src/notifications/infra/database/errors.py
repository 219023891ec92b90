"""What an error of the database means: away, locked, or a refusal of this very statement.

Whoever is told "away" or "locked" tries the same again later. A refusal is narrowed down to the row
that causes it: the same statement would be refused for ever.
"""

from __future__ import annotations

from typing import Any

from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)

_REFUSED = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
_REFUSING_CLASSES = frozenset({"0A", "21", "22", "23", "38", "39", "42", "54", "P0", "XX"})
"""SQLSTATE classes that speak of the statement, its values or one row: 54 is program limit
exceeded, P0 an exception that a trigger raised, XX damaged data
(https://www.postgresql.org/docs/current/errcodes-appendix.html)."""
_LOCKED_STATES = frozenset({"55P03", "40P01"})
"""lock_not_available (a lock time-out), deadlock_detected."""
_MISSING_STATES = frozenset({"42P01", "42703"})
"""undefined_table, undefined_column."""
_SQLITE_MISSING = ("no such table", "no such column")
_SQLITE_REFUSALS = ("too many", "too long", "too big", "malformed JSON", "too deep")


def is_unavailable(error: BaseException) -> bool:
    """Whether the database may take the same statement later."""
    if not isinstance(error, DatabaseError | InterfaceError) or isinstance(error, _REFUSED):
        return False
    state = sqlstate(error)
    if state:
        return state[:2] not in _REFUSING_CLASSES
    return not any(words in str(error) for words in _SQLITE_REFUSALS)


def is_locked(error: BaseException) -> bool:
    """Whether another transaction held a row for too long: other rows may be free."""
    return isinstance(error, OperationalError) and sqlstate(error) in _LOCKED_STATES


def is_missing(error: BaseException) -> bool:
    """Whether a table or column is not there: the database is older than the code."""
    if not isinstance(error, OperationalError | ProgrammingError):
        return False
    return sqlstate(error) in _MISSING_STATES or str(error).startswith(_SQLITE_MISSING)


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's five characters for an error; empty where it has none, as on SQLite."""
    cause: Any = error.__cause__
    return getattr(cause, "sqlstate", None) or ""
