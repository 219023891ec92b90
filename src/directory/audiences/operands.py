"""Reads the values that fields are compared with, by the kind of the field."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from directory.audiences.criteria import Ago, Operand
from directory.audiences.fields import Field, Kind, Op
from directory.audiences.parse_context import ParseContext, identifier_of, kind_of
from directory.moments import InvalidMoment, MomentOutOfRange, check_moment, read_moment
from directory.texts import is_storable

MAX_VALUES = 1_000
LONGEST_TEXT = 1_000
MAX_NUMBER = 10**15
"""Up to this number, a whole number and a double are equal on both databases."""
MAX_AGO_DAYS = 36_500
_TEXT_OPS = (Op.CONTAINS, Op.STARTS_WITH)


def operand(
    value: Any, *, field: Field, op: Op, path: str, context: ParseContext
) -> Operand | Ago | None:
    """Reads one value; returns None and adds a fault where the value is wrong."""
    return _READERS[field.kind](value, field, op, path, context)


def operands(
    value: Any, *, field: Field, op: Op, path: str, context: ParseContext
) -> tuple[Operand, ...] | None:
    """Reads the values of `in` and `not_in`, each once; returns None and adds faults otherwise."""
    listed = context.items(value, path, most=MAX_VALUES)
    if listed is None:
        return None
    before = len(context.faults)
    found = [
        operand(each, field=field, op=op, path=f"{path}[{place}]", context=context)
        for place, each in enumerate(listed)
    ]
    if len(context.faults) > before:
        return None
    unique = {(type(each), each): each for each in found}  # True is not 1 here
    return cast("tuple[Operand, ...]", tuple(unique.values()))  # no kind that accepts `in` has Ago


def _choice(value: Any, field: Field, op: Op, path: str, context: ParseContext) -> str | None:
    if isinstance(value, str) and value in field.choices:
        return value
    context.add_fault(path, "invalid", f"must be one of {', '.join(field.choices)}")
    return None


def _text(value: Any, field: Field, op: Op, path: str, context: ParseContext) -> str | None:
    if not isinstance(value, str):
        context.add_fault(path, "wrong_type", f"must be a text, not {kind_of(value)}")
        return None
    if len(value) > LONGEST_TEXT or not is_storable(value):
        context.add_fault(path, "invalid", f"must be up to {LONGEST_TEXT:,} characters without NUL")
        return None
    if op in _TEXT_OPS and not value:
        context.add_fault(path, "invalid", f"{op} needs at least one character: all would match")
        return None
    return value


def _moment(
    value: Any, field: Field, op: Op, path: str, context: ParseContext
) -> datetime | Ago | None:
    if isinstance(value, dict):
        return _ago(value, path, context)
    try:
        if isinstance(value, datetime):
            return check_moment(value)
        if isinstance(value, str):
            return read_moment(value).astimezone(UTC)
    except MomentOutOfRange as error:
        context.add_fault(path, error.code, str(error))
        return None
    except InvalidMoment:
        pass
    context.add_fault(
        path,
        "invalid_time",
        'must be a time such as 2030-01-31T09:00:00+01:00, a date, or {"days_ago": 30}',
    )
    return None


def _ago(value: dict[str, Any], path: str, context: ParseContext) -> Ago | None:
    units = {"days_ago": 24, "hours_ago": 1}
    context.refuse_unknown(value, tuple(units), path)
    named = [name for name in units if name in value]
    if len(named) != 1:
        context.add_fault(path, "invalid", "must hold exactly one of days_ago, hours_ago")
        return None
    (name,) = named
    number, most = value[name], MAX_AGO_DAYS * 24 // units[name]
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= most:
        context.add_fault(f"{path}.{name}", "invalid", f"must be a whole number from 0 to {most:,}")
        return None
    return Ago(number * units[name])


def _identifier(
    value: Any, field: Field, op: Op, path: str, context: ParseContext
) -> Operand | None:
    found = identifier_of(value)
    if found is None:
        context.add_fault(path, "invalid", "must be an integer id or a UUID")
    return found


def _attribute(
    value: Any, field: Field, op: Op, path: str, context: ParseContext
) -> Operand | None:
    if isinstance(value, str):
        return _text(value, field, op, path, context)
    if op is Op.STARTS_WITH:
        context.add_fault(path, "wrong_type", f"starts_with takes a text, not {kind_of(value)}")
    elif isinstance(value, bool):
        if op not in (Op.LT, Op.LTE, Op.GT, Op.GTE):
            return value
        context.add_fault(path, "wrong_type", f"{op} takes a number or a text, not true or false")
    elif not isinstance(value, int | float):
        context.add_fault(
            path, "wrong_type", f"must be a text, a number, true or false, not {kind_of(value)}"
        )
    elif not math.isfinite(value) or abs(value) > MAX_NUMBER:
        context.add_fault(path, "invalid", f"must lie between -{MAX_NUMBER:,} and {MAX_NUMBER:,}")
    else:
        return value
    return None


_Reader = Callable[[Any, Field, Op, str, ParseContext], Operand | Ago | None]
_READERS: dict[Kind, _Reader] = {
    Kind.CHOICE: _choice,
    Kind.TEXT: _text,
    Kind.MOMENT: _moment,
    Kind.MEMBERSHIP: _identifier,
    Kind.CONTACT: _choice,
    Kind.ATTRIBUTE: _attribute,
}
