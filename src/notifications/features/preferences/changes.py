"""Reads a request to change preferences. Reports all errors at once, each with its path."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from typing import Any

from notifications.domain.errors import MOST_ERRORS, InvalidRequest
from notifications.domain.preferences import SWITCHES, DigestFrequency
from notifications.engine.shared_rows import category_by_key, category_keys
from notifications.features.preferences.schemas import GLOBAL_FLAGS, GlobalChanges
from notifications.intake.fields import Fields

READ_ONLY_FIELDS = ("consent_given_at", "consent_withdrawn_at")
"""Ignored in a request, so that a client can change a response of GET and send it back."""

_FREQUENCIES = ", ".join(DigestFrequency)


@dataclass(slots=True)
class Changes:
    """Valid changes."""

    #: Values of the general row, by column.
    overall: dict[str, Any] = field(default_factory=dict)
    #: Values of each category's row, by category key and column.
    categories: dict[str, dict[str, bool]] = field(default_factory=dict)


def parse_changes(body: Mapping[str, Any]) -> Changes:
    """Returns the changes in a body of {global, categories}.

    Raises:
        InvalidRequest: with the error of every field.
    """
    fields = Fields(body)
    fields.refuse_unknown(("global", "categories"))
    overall = Fields(fields.mapping("global"), path="global.")
    categories = fields.mapping("categories")
    changes = Changes(_overall(overall))
    errors = [*fields.errors, *overall.errors]
    for key, raw in categories.items():
        category = Fields({key: raw}, path="categories.")
        values = category.mapping(key)
        switches = Fields(values, path=f"categories.{key}.")
        if category_by_key(key) is None:
            known = ", ".join(category_keys())
            category.add_error(key, "unknown_category", f"is not a category; known: {known}")
        switches.refuse_unknown(SWITCHES)
        changes.categories[key] = _flags(switches, SWITCHES)
        errors += [*category.errors, *switches.errors]
        if len(errors) > MOST_ERRORS:
            break
    if errors:
        raise InvalidRequest(errors)
    return changes


def _overall(fields: Fields) -> dict[str, Any]:
    fields.refuse_unknown((*GlobalChanges.__struct_fields__, *READ_ONLY_FIELDS))
    values: dict[str, Any] = dict(_flags(fields, GLOBAL_FLAGS))
    for name in ("quiet_hours_start", "quiet_hours_end"):
        if name in fields.body:
            values[name] = _wall_time(fields, name)
    if "timezone" in fields.body:
        values["timezone"] = _zone(fields)
    if "digest_frequency" in fields.body:
        values["digest_frequency"] = _frequency(fields)
    if "dnd_until" in fields.body:
        values["dnd_until"] = fields.moment("dnd_until")
    return values


def _flags(fields: Fields, names: tuple[str, ...]) -> dict[str, bool]:
    return {name: fields.flag(name, False) for name in names if name in fields.body}


def _wall_time(fields: Fields, name: str) -> time | None:
    value = fields.body[name]
    try:
        found = time.fromisoformat(value)
        if found.tzinfo is None:
            return found.replace(microsecond=0)
    except (TypeError, ValueError):
        pass
    fields.add_error(
        name, "invalid_time", "must be a wall-clock time such as 22:00, without an offset"
    )
    return None


def _zone(fields: Fields) -> str:
    """Returns an IANA zone. An empty text or null means the zone of the user."""
    value = fields.body["timezone"] or ""
    if value == "":
        return ""
    try:
        zoneinfo.ZoneInfo(value)
    except (TypeError, ValueError, OSError, KeyError):
        fields.add_error(
            "timezone", "unknown_timezone", "must be an IANA zone such as Europe/Paris"
        )
        return ""
    return str(value)


def _frequency(fields: Fields) -> str:
    value = fields.body["digest_frequency"]
    if not isinstance(value, str) or value not in DigestFrequency.__members__.values():
        fields.add_error("digest_frequency", "invalid_choice", f"must be one of {_FREQUENCIES}")
        return ""
    return value
