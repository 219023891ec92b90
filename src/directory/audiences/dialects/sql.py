"""Pieces of SQL with their parameters.

The text comes from this package only; everything that a caller wrote is a parameter. Every piece
is a predicate over `directory_user AS u`. It is true or false, never NULL, so that negation is set
difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple


class Sql(NamedTuple):
    """A predicate and its parameters, in order."""

    text: str
    params: tuple[Any, ...] = ()


class Window(NamedTuple):
    """The users above `after`, up to and including `last`."""

    after: int
    last: int


class Members(NamedTuple):
    """The users whose ids a table holds in one of its columns, under a condition."""

    table: str
    column: str
    #: A condition on the table under the name `m`.
    condition: Sql
    #: The condition selects few rows of many (a tutor's students), not one row for each user.
    narrow: bool = True


NO_USER = Sql("(1 = 0)")
EVERY_USER = Sql("(1 = 1)")


def every(parts: Iterable[Sql]) -> Sql:
    """Returns the condition that all parts are true."""
    return _joined(list(parts), " AND ")


def either(parts: Iterable[Sql]) -> Sql:
    """Returns the condition that at least one part is true."""
    return _joined(list(parts), " OR ")


def negated(part: Sql) -> Sql:
    return Sql(f"(NOT {part.text})", part.params)


def _joined(parts: Sequence[Sql], word: str) -> Sql:
    if len(parts) == 1:
        return parts[0]
    text = word.join(part.text for part in parts)
    return Sql(f"({text})", tuple(value for part in parts for value in part.params))
