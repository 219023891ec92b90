"""The SQL that differs between the databases. Tests compare both with one model's results.

Attributes are JSON. A key leads into objects only, never into lists. Numbers compare as numbers in
any form, and texts compare by code point. A JSON null counts as missing.
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
    """The SQL that the compiler needs from a database. `expression` is SQL of this package."""

    def moment(self, value: Any) -> Any:
        """Returns a time in the form in which the database compares it."""

    def members(self, members: Members, window: Window | None) -> Sql:
        """Tests whether the user is one of the members."""

    def listed(self, ids: Sequence[int]) -> Sql:
        """Tests whether the user's id is listed. A list of any length is one parameter."""

    def one_of(self, expression: str, values: Sequence[str]) -> Sql:
        """Tests whether a text is one of the values; NULL where the text is NULL."""

    def one_of_ids(self, expression: str, values: Sequence[int]) -> Sql:
        """Tests whether a number is one of the values; NULL where the number is NULL."""

    def contains(self, expression: str, value: str) -> Sql:
        """Tests whether a text contains another; NULL where the text is NULL."""

    def starts_with(self, expression: str, value: str) -> Sql:
        """Tests whether a text begins with another; NULL where the text is NULL."""

    def attribute_exists(self, keys: Sequence[str]) -> Sql:
        """Tests whether the place exists and is not null."""

    def attribute_in(self, keys: Sequence[str], values: Sequence[Scalar]) -> Sql:
        """Tests whether the place holds one of the values."""

    def attribute_order(self, keys: Sequence[str], sign: str, value: Scalar) -> Sql:
        """Tests whether the place holds a value of the same type for which `place <sign> value`."""

    def attribute_contains(self, keys: Sequence[str], value: Scalar) -> Sql:
        """Tests whether the place holds a text with the value in it, or a list with this item."""

    def attribute_starts_with(self, keys: Sequence[str], value: str) -> Sql:
        """Tests whether the place holds a text that begins with the value."""


_DIALECTS: dict[str, Dialect] = {"postgresql": Postgres(), "sqlite": Sqlite()}


def dialect() -> Dialect:
    """Returns the dialect of the default connection."""
    return _DIALECTS[connection.vendor]
