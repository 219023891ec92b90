"""Reads the limits that a sender sets: throttle keys and dedupe windows."""

from __future__ import annotations

from typing import Any

from notifications.domain.limits import LONGEST_S, MOST
from notifications.intake.fields import Fields
from notifications.intake.request import Throttle

_LONGEST_KEY = 100


def read_limits(options: Fields, *, collapse_key: object) -> dict[str, Any]:
    """Reads `throttle` and `dedupe_s` of a request's options, in the form that is stored."""
    found: dict[str, Any] = {}
    given = options.mapping("throttle")
    if given:
        inner = Fields(given, path=f"{options.path}throttle.")
        inner.refuse_unknown(Throttle.__struct_fields__)
        throttle = {
            "key": inner.text("key", required=True, longest=_LONGEST_KEY),
            "window_s": read_number(inner, "window_s", highest=LONGEST_S, required=True),
            "limit": read_number(inner, "limit", highest=MOST) or 1,
        }
        options.errors += inner.errors
        found["throttle"] = throttle
    window_s = read_number(options, "dedupe_s", highest=LONGEST_S)
    if window_s:
        if collapse_key is None:
            options.add_error(
                "dedupe_s", "invalid", "needs a collapse_key, which identifies duplicates"
            )
        found["dedupe_s"] = window_s
    return found


def read_number(fields: Fields, name: str, *, highest: int, required: bool = False) -> int | None:
    """Reads a whole number from 1 to `highest`; returns None where it is missing or wrong."""
    value = fields.body.get(name)
    if value is None:
        if required:
            fields.add_error(name, "required", "is required: a whole number")
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        fields.add_error(name, "wrong_type", "must be a whole number")
        return None
    if not 1 <= value <= highest:
        fields.add_error(name, "invalid", f"must be from 1 to {highest:,}")
        return None
    return value
