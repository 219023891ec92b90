"""Classifies errors of the database: unavailable, locked, or a refusal of this statement.

After "unavailable" or "locked" the caller repeats the statement later. After a refusal it finds the
row that causes it, because the same statement would be refused for ever.
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
"""SQLSTATE classes about the statement, its values or one row: 54 is program limit
exceeded, P0 an exception that a trigger raised, XX damaged data
(https://www.postgresql.org/docs/current/errcodes-appendix.html)."""
_LOCKED_STATES = frozenset({"55P03", "40P01"})
"""lock_not_available (a lock time-out), deadlock_detected."""
_MISSING_STATES = frozenset({"42P01", "42703"})
"""undefined_table, undefined_column."""
_SQLITE_MISSING = ("no such table", "no such column")
_SQLITE_REFUSALS = ("too many", "too long", "too big", "malformed JSON", "too deep")


def is_unavailable(error: BaseException) -> bool:
    """Returns whether the database may accept the same statement later."""
    if not isinstance(error, DatabaseError | InterfaceError) or isinstance(error, _REFUSED):
        return False
    state = sqlstate(error)
    if state:
        return state[:2] not in _REFUSING_CLASSES
    return not any(words in str(error) for words in _SQLITE_REFUSALS)


def is_locked(error: BaseException) -> bool:
    """Returns whether another transaction held a row for too long. Other rows may be free."""
    return isinstance(error, OperationalError) and sqlstate(error) in _LOCKED_STATES


def is_missing(error: BaseException) -> bool:
    """Returns whether a table or column is missing: the database is older than the code."""
    if not isinstance(error, OperationalError | ProgrammingError):
        return False
    return sqlstate(error) in _MISSING_STATES or str(error).startswith(_SQLITE_MISSING)


def sqlstate(error: BaseException) -> str:
    """Returns PostgreSQL's code of five characters; empty without one, as on SQLite."""
    cause: Any = error.__cause__
    return getattr(cause, "sqlstate", None) or ""
