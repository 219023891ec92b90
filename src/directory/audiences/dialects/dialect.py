"""What the two databases say differently. Both give the same answers: tests hold them to one model.

Attributes are JSON. A key leads into objects only, never into lists; numbers compare as numbers,
whatever their form; texts compare by code point; a JSON null is as good as missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from django.db import connection

from directory.audiences.criteria import Scalar
from directory.audiences.dialects.dialect_postgres import Postgres
from directory.audiences.dialects.dialect_sqlite import Sqlite
from directory.audiences.dialects.sql import Members, Sql, Window


class Dialect(Protocol):
    """What compiling needs of a database. `expression` is SQL of this package's own."""

    def moment(self, value: Any) -> Any:
        """A time as the database compares it."""

    def members(self, members: Members, window: Window | None) -> Sql:
        """Whether the user is among the members."""

    def listed(self, ids: Sequence[int]) -> Sql:
        """Whether the user's id is listed. One parameter, however long the list."""

    def one_of(self, expression: str, values: Sequence[str]) -> Sql:
        """Whether a text is among the values; NULL where it is NULL."""

    def one_of_ids(self, expression: str, values: Sequence[int]) -> Sql:
        """Whether a number is among the values; NULL where it is NULL."""

    def contains(self, expression: str, value: str) -> Sql:
        """Whether a text holds another; NULL where it is NULL."""

    def starts_with(self, expression: str, value: str) -> Sql:
        """Whether a text begins with another; NULL where it is NULL."""

    def attribute_exists(self, keys: Sequence[str]) -> Sql:
        """Whether something other than null is there."""

    def attribute_in(self, keys: Sequence[str], values: Sequence[Scalar]) -> Sql:
        """Whether the place holds one of the values."""

    def attribute_order(self, keys: Sequence[str], sign: str, value: Scalar) -> Sql:
        """Whether the place holds something of the value's type that is `<`, ... it."""

    def attribute_contains(self, keys: Sequence[str], value: Scalar) -> Sql:
        """Whether the place holds a text with the value in it, or a list with it for an item."""

    def attribute_starts_with(self, keys: Sequence[str], value: str) -> Sql:
        """Whether the place holds a text that begins with the value."""


_DIALECTS: dict[str, Dialect] = {"postgresql": Postgres(), "sqlite": Sqlite()}


def dialect() -> Dialect:
    """That of the default connection."""
    return _DIALECTS[connection.vendor]
