"""Audiences on PostgreSQL: EXISTS, which the planner turns into joins or probes, and jsonb."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from directory.audiences.criteria import Scalar
from directory.audiences.dialects.sql import Members, Sql, Window


class Postgres:
    """See Dialect."""

    def moment(self, value: Any) -> Any:
        return value

    def members(self, members: Members, window: Window | None) -> Sql:
        table, column, condition, _ = members
        bounds = f" AND m.{column} > %s AND m.{column} <= %s" if window else ""
        return Sql(
            f"EXISTS (SELECT 1 FROM {table} AS m"  # noqa: S608 -- names of this package
            f" WHERE m.{column} = u.id AND {condition.text}{bounds})",
            (*condition.params, *(window or ())),
        )

    def listed(self, ids: Sequence[int]) -> Sql:
        return Sql("u.id IN (SELECT unnest(%s::bigint[]))", (list(ids),))

    def one_of(self, expression: str, values: Sequence[str]) -> Sql:
        return Sql(f"{expression} = ANY(%s::text[])", (list(values),))

    def one_of_ids(self, expression: str, values: Sequence[int]) -> Sql:
        return Sql(f"{expression} = ANY(%s::bigint[])", (list(values),))

    def contains(self, expression: str, value: str) -> Sql:
        return Sql(f"strpos({expression}, %s::text) > 0", (value,))

    def starts_with(self, expression: str, value: str) -> Sql:
        return Sql(f"starts_with({expression}, %s::text)", (value,))

    def attribute_exists(self, keys: Sequence[str]) -> Sql:
        place = _place(keys)
        return Sql(f"coalesce(jsonb_typeof({place.text}) <> 'null', false)", place.params)

    def attribute_in(self, keys: Sequence[str], values: Sequence[Scalar]) -> Sql:
        place = _place(keys)
        return Sql(
            f"coalesce({place.text} = ANY(%s::jsonb[]), false)",
            (*place.params, [json.dumps(value) for value in values]),
        )

    def attribute_order(self, keys: Sequence[str], sign: str, value: Scalar) -> Sql:
        if isinstance(value, str):
            return _guarded(keys, "string", f'({{text}} COLLATE "C") {sign} %s::text', value)
        return _guarded(keys, "number", f"{{text}}::numeric {sign} %s::numeric", repr(value))

    def attribute_contains(self, keys: Sequence[str], value: Scalar) -> Sql:
        place = _place(keys)
        item = Sql(
            f"coalesce(jsonb_typeof({place.text}) = 'array'"
            f" AND {place.text} @> jsonb_build_array(%s::jsonb), false)",
            (*place.params, *place.params, json.dumps(value)),
        )
        if not isinstance(value, str):
            return item
        part = _guarded(keys, "string", "strpos({text}, %s::text) > 0", value)
        return Sql(f"({item.text} OR {part.text})", item.params + part.params)

    def attribute_starts_with(self, keys: Sequence[str], value: str) -> Sql:
        return _guarded(keys, "string", "starts_with({text}, %s::text)", value)


def _place(keys: Sequence[str]) -> Sql:
    """Returns the place. `->` with a text enters objects only; `#>` would also index lists."""
    return Sql("(u.attributes" + " -> %s::text" * len(keys) + ")", tuple(keys))


def _guarded(keys: Sequence[str], kind: str, test: str, value: str) -> Sql:
    """Tests the text of a place, only where the place holds a value of this kind.

    CASE prevents the database from casting before it checks the kind.
    """
    place = _place(keys)
    text = f"({place.text} #>> '{{}}')"
    return Sql(
        f"(CASE WHEN jsonb_typeof({place.text}) = '{kind}' THEN {test.format(text=text)}"
        " ELSE false END)",
        (*place.params, *place.params, value),
    )
