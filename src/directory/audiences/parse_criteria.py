"""Reads segment criteria from JSON and reports all faults at once, each with its place.

{"field": "role", "op": "eq", "value": "student"}       a test
{"all": [...]}  {"any": [...]}  {"not": {...}}           logic
"""

from __future__ import annotations

from typing import Any

from directory.audiences.criteria import AllOf, AnyOf, Criterion, Not, Test
from directory.audiences.fields import ATTRIBUTES, FIELDS, Field, Kind, Op
from directory.audiences.operands import operand, operands
from directory.audiences.parse_context import ParseContext

MAX_KEYS = 10
_LONGEST_KEY = 100
_FORMS = ("field", "all", "any", "not")


def parse_criteria(data: Any, *, path: str = "criteria") -> Criterion:
    """Reads the criteria of a segment.

    Raises:
        AudienceError: with every fault.
    """
    context = ParseContext()
    found = read_criterion(data, path, context, depth=1)
    context.raise_faults()
    assert found is not None  # a missing criterion is a fault
    return found


def read_criterion(data: Any, path: str, context: ParseContext, *, depth: int) -> Criterion | None:
    """Reads one criterion and all parts below it; returns None and adds faults to `context`."""
    if not context.count_part(path, depth):
        return None
    table = context.table(data, path)
    if table is None:
        return None
    forms = [form for form in _FORMS if form in table]
    if len(forms) != 1:
        context.add_fault(path, "invalid", f"must have exactly one of {', '.join(_FORMS)}")
        return None
    (form,) = forms
    if form == "field":
        return _test(table, path, context)
    context.refuse_unknown(table, (form,), path)
    if form == "not":
        part = read_criterion(table["not"], f"{path}.not", context, depth=depth + 1)
        return Not(part) if part else None
    parts = _parts(table[form], f"{path}.{form}", context, depth)
    return AllOf(parts) if form == "all" else AnyOf(parts)


def _parts(value: Any, path: str, context: ParseContext, depth: int) -> tuple[Criterion, ...]:
    listed = context.items(value, path, most=1_000) or []
    read = (
        read_criterion(each, f"{path}[{place}]", context, depth=depth + 1)
        for place, each in enumerate(listed)
    )
    return tuple(each for each in read if each is not None)


def _test(table: dict[str, Any], path: str, context: ParseContext) -> Criterion | None:
    context.refuse_unknown(table, ("field", "op", "value"), path)
    field, keys = _field(table["field"], f"{path}.field", context)
    if field is None:
        return None
    op = _op(table, field, path, context)
    if op is None:
        return None
    place = f"{path}.value"
    if op is Op.EXISTS:
        return _exists(table, field, keys, place, context)
    if "value" not in table:
        context.add_fault(place, "required", f"{op} needs a value")
        return None
    read = operands if op in (Op.IN, Op.NOT_IN) else operand
    value = read(table["value"], field=field, op=op, path=place, context=context)
    return None if value is None else Test(field.name, op, value, keys, place)


def _exists(
    table: dict[str, Any], field: Field, keys: tuple[str, ...], place: str, context: ParseContext
) -> Criterion | None:
    wanted = table.get("value", True)
    if not isinstance(wanted, bool):
        context.add_fault(place, "wrong_type", "exists takes true or false (true if left out)")
        return None
    test = Test(field.name, Op.EXISTS, True, keys, place)
    return test if wanted else Not(test)


def _field(value: Any, path: str, context: ParseContext) -> tuple[Field | None, tuple[str, ...]]:
    if not isinstance(value, str):
        context.add_fault(path, "wrong_type", "must be the name of a field")
        return None, ()
    name, _, rest = value.partition(".")
    field = FIELDS.get(name)
    if field is None or (rest and field.kind is not Kind.ATTRIBUTE):
        known = ", ".join(f"{ATTRIBUTES}.…" if key == ATTRIBUTES else key for key in FIELDS)
        context.add_fault(path, "unknown_segment_field", f"is not a field; known: {known}")
        return None, ()
    if field.kind is Kind.ENGAGEMENT:
        context.add_fault(
            path, "unsupported", f"{name} is not available: engagement is not recorded"
        )
        return None, ()
    if field.kind is not Kind.ATTRIBUTE:
        return field, ()
    keys = tuple(rest.split("."))
    if _keys_are_fine(keys):
        return field, keys
    context.add_fault(
        path,
        "invalid",
        f"must name a place such as attributes.plan.seats: 1 to {MAX_KEYS} keys of 1 to"
        f" {_LONGEST_KEY} characters, without quotation marks, backslashes or control characters",
    )
    return None, ()


def _keys_are_fine(keys: tuple[str, ...]) -> bool:
    return len(keys) <= MAX_KEYS and all(
        0 < len(key) <= _LONGEST_KEY and key.isprintable() and not set(key) & {'"', "\\"}
        for key in keys
    )


def _op(table: dict[str, Any], field: Field, path: str, context: ParseContext) -> Op | None:
    value = table.get("op")
    known = ", ".join(field.ops)
    if value is None:
        context.add_fault(f"{path}.op", "required", f"is required: one of {known}")
    elif not isinstance(value, str) or value not in field.ops:
        context.add_fault(f"{path}.op", "invalid", f"{field.name} takes one of {known}")
    else:
        return Op(value)
    return None
