"""Values that a form has as lines, `name=value`, and the objects that the API takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from notifications.api.bodies import read_json
from notifications.domain.errors import CarillonError, FieldError, InvalidRequest


def read_values(text: str, field: str) -> dict[str, Any]:
    """Returns an object from lines of `name=value`, or from JSON.

    Raises:
        InvalidRequest: a line has no sign, or the JSON is no object.
    """
    if text.startswith("{"):
        try:
            return read_json(text.encode())
        except CarillonError as error:
            raise InvalidRequest([FieldError(field, "invalid", error.detail)]) from error
    found: dict[str, Any] = {}
    for line in text.splitlines():
        name, sign, value = line.partition("=")
        if sign:
            found[name.strip()] = value.strip()
        elif line.strip():
            detail = f"must have lines such as name=value, not {line.strip()[:100]}"
            raise InvalidRequest([FieldError(field, "invalid", detail)])
    return found


def values_text(values: Mapping[str, Any]) -> str:
    """Returns an object as lines; as JSON where lines cannot say it."""
    is_plain = all(
        isinstance(value, str) and value == value.strip() and len(value.splitlines()) < 2
        for value in values.values()
    )
    if is_plain and all(name == name.strip() and "=" not in name for name in values):
        return "\n".join(f"{name}={value}" for name, value in values.items())
    return json.dumps(values, ensure_ascii=False, indent=1)


def decimal_or_text(text: str) -> float | str:
    """Returns the number that a text is, else the text, which the service refuses."""
    try:
        return float(text)
    except ValueError:
        return text
