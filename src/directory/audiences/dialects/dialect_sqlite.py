"""Audiences on SQLite: each list is one JSON parameter, attributes are read by JSON path."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from directory.audiences.criteria import Scalar
from directory.audiences.dialects.sql import NO_USER, Members, Sql, Window, either

_NUMBERS = "('integer', 'real')"


class Sqlite:
    """See Dialect."""

    def moment(self, value: Any) -> Any:
        assert isinstance(value, datetime)
        return str(value.astimezone(UTC).replace(tzinfo=None))  # as Django stores it

    def members(self, members: Members, window: Window | None) -> Sql:
        table, column, condition, narrow = members
        bounds = f" AND m.{column} > %s AND m.{column} <= %s" if window else ""
        inner = f"FROM {table} AS m WHERE {condition.text}{bounds}"
        params = (*condition.params, *(window or ()))
        if narrow:  # drives the query: a few look-ups instead of a probe for each user
            return Sql(f"u.id IN (SELECT m.{column} {inner} AND m.{column} IS NOT NULL)", params)
        return Sql(f"EXISTS (SELECT 1 {inner} AND m.{column} = u.id)", params)

    def listed(self, ids: Sequence[int]) -> Sql:
        return Sql("u.id IN (SELECT value FROM json_each(%s))", (json.dumps(list(ids)),))

    def one_of(self, expression: str, values: Sequence[str]) -> Sql:
        return _among(expression, values)

    def one_of_ids(self, expression: str, values: Sequence[int]) -> Sql:
        return _among(expression, values)

    def contains(self, expression: str, value: str) -> Sql:
        return Sql(f"instr({expression}, %s) > 0", (value,))

    def starts_with(self, expression: str, value: str) -> Sql:
        return Sql(f"substr({expression}, 1, length(%s)) = %s", (value, value))

    def attribute_exists(self, keys: Sequence[str]) -> Sql:
        return Sql("(coalesce(json_type(u.attributes, %s), 'null') <> 'null')", (_path(keys),))

    def attribute_in(self, keys: Sequence[str], values: Sequence[Scalar]) -> Sql:
        path = _path(keys)
        parts = []
        for kinds, some in _by_type(values):
            if kinds == "bool":
                names = [json.dumps(value) for value in some]
                held = _among("json_type(u.attributes, %s)", names)
                parts.append(Sql(f"coalesce({held.text}, 0)", (path, *held.params)))
            else:
                held = _among("json_extract(u.attributes, %s)", some)
                parts.append(_guarded(path, kinds, Sql(held.text, (path, *held.params))))
        return either(parts) if parts else NO_USER

    def attribute_order(self, keys: Sequence[str], sign: str, value: Scalar) -> Sql:
        path = _path(keys)
        test = Sql(f"json_extract(u.attributes, %s) {sign} %s", (path, value))
        return _guarded(path, "('text')" if isinstance(value, str) else _NUMBERS, test)

    def attribute_contains(self, keys: Sequence[str], value: Scalar) -> Sql:
        path = _path(keys)
        item = _guarded(path, "('array')", _item(path, value))
        if not isinstance(value, str):
            return item
        test = Sql("instr(json_extract(u.attributes, %s), %s) > 0", (path, value))
        return either([item, _guarded(path, "('text')", test)])

    def attribute_starts_with(self, keys: Sequence[str], value: str) -> Sql:
        path = _path(keys)
        test = Sql(
            "substr(json_extract(u.attributes, %s), 1, length(%s)) = %s", (path, value, value)
        )
        return _guarded(path, "('text')", test)


def _path(keys: Sequence[str]) -> str:
    """Returns keys as a JSON path, in the form in which Django stores them (ASCII, escaped)."""
    return "$" + "".join(f".{json.dumps(key)}" for key in keys)


def _among(expression: str, values: Sequence[Any]) -> Sql:
    listed = "(SELECT value FROM json_each(%s))"
    return Sql(f"{expression} IN {listed}", (json.dumps(list(values)),))


def _guarded(path: str, kinds: str, test: Sql) -> Sql:
    """Makes a test only where the place holds a value of these kinds."""
    return Sql(
        f"(CASE WHEN json_type(u.attributes, %s) IN {kinds} THEN {test.text} ELSE 0 END)",
        (path, *test.params),
    )


def _item(path: str, value: Scalar) -> Sql:
    """Tests whether a list contains the value."""
    each = "EXISTS (SELECT 1 FROM json_each(u.attributes, %s) AS item WHERE "
    if isinstance(value, bool):
        return Sql(f"{each}item.type = %s)", (path, json.dumps(value)))
    kinds = "('text')" if isinstance(value, str) else _NUMBERS
    return Sql(f"{each}item.type IN {kinds} AND item.value = %s)", (path, value))


def _by_type(values: Iterable[Scalar]) -> list[tuple[str, list[Scalar]]]:
    """Groups values by the JSON types that may equal them; `bool` for true and false."""
    found: dict[str, list[Scalar]] = {"('text')": [], _NUMBERS: [], "bool": []}
    for value in values:
        kind = _NUMBERS
        if isinstance(value, str):
            kind = "('text')"
        elif isinstance(value, bool):
            kind = "bool"
        found[kind].append(value)
    return [(kind, some) for kind, some in found.items() if some]
