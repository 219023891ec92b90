"""Pieces of SQL with their parameters. Text comes from this package alone; whatever a caller wrote
is a parameter. Every piece is a predicate over `directory_user AS u` that is true or false, never
NULL, so that negation is set difference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple


class Sql(NamedTuple):
    """A predicate and its parameters in order."""

    text: str
    params: tuple[Any, ...] = ()


class Window(NamedTuple):
    """The users above `after`, up to and including `last`."""

    after: int
    last: int


class Members(NamedTuple):
    """The people that a table names in one of its columns, under a condition on the table `m`.

    narrow: the condition leaves few rows of many (a tutor's students), rather than a row a user.
    """

    table: str
    column: str
    condition: Sql
    narrow: bool = True


NO_USER = Sql("(1 = 0)")
EVERY_USER = Sql("(1 = 1)")


def every(parts: Iterable[Sql]) -> Sql:
    """All of the parts."""
    return _joined(list(parts), " AND ")


def either(parts: Iterable[Sql]) -> Sql:
    """Any of the parts."""
    return _joined(list(parts), " OR ")


def negated(part: Sql) -> Sql:
    return Sql(f"(NOT {part.text})", part.params)


def _joined(parts: Sequence[Sql], word: str) -> Sql:
    if len(parts) == 1:
        return parts[0]
    text = word.join(part.text for part in parts)
    return Sql(f"({text})", tuple(value for part in parts for value in part.params))
