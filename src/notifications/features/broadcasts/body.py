"""Reads the body of a request about a broadcast, and reports all its errors at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from notifications.domain.channels import parse_priority
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.features.broadcasts.delivery.launch import check_terms, read_rule
from notifications.features.broadcasts.schemas import (
    MOST_PER_MINUTE,
    BroadcastBody,
    BroadcastChangeBody,
)
from notifications.intake.fields import Fields
from notifications.models import Broadcast
from notifications.models.sources.broadcast import MAX_MESSAGE, default_channels

TEXTS = {"title": 200, "delivery": 5, "category": 50, "target_group": 20}


def read_new(body: Mapping[str, Any], *, now: datetime) -> tuple[Broadcast, bool]:
    """Returns a broadcast that is not saved yet, and whether to send it at once.

    Raises:
        InvalidRequest: with every error.
    """
    fields = Fields(body)
    fields.refuse_unknown(BroadcastBody.__struct_fields__)
    broadcast = Broadcast(**_values(fields, now=now))
    for name in ("target_group", "message"):
        if body.get(name) is None:
            fields.add_error(name, "required", "is required")
    send = fields.flag("send_immediately", False)
    if send and broadcast.scheduled_at is not None:
        fields.add_error(
            "scheduled_at", "invalid", "give scheduled_at or send_immediately, not both"
        )
    check(broadcast, fields)
    return broadcast, send


TRACKING = ("track_opens", "track_clicks")
_NULLABLE = ("scheduled_at", "target_filter", "per_minute", *TRACKING)
"""Fields that a change may set to null."""


def read_changes(broadcast: Broadcast, body: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Sets changes on a row without saving it; returns the changed fields.

    Raises:
        InvalidRequest: with every error.
    """
    fields = Fields(body)
    fields.refuse_unknown(BroadcastChangeBody.__struct_fields__)
    for name in body:
        if body[name] is None and name not in _NULLABLE:
            fields.add_error(name, "wrong_type", "must not be null; omit it to leave it unchanged")
    values = _values(fields, now=now)
    if "options" in values:  # a choice that is left out stays
        stays = {name: value for name, value in broadcast.options.items() if name not in body}
        values["options"] = {**stays, **values["options"]}
    for name, value in values.items():
        setattr(broadcast, name, value)
    check(broadcast, fields)
    return values


def check(broadcast: Broadcast, fields: Fields) -> None:
    """Raises the errors of the fields and of a launch, the first error of each field."""
    for test in (check_terms, read_rule):
        try:
            test(broadcast)
        except InvalidRequest as error:
            known = {fault.path for fault in fields.errors}
            fields.errors += [fault for fault in error.errors if fault.path not in known]
    fields.raise_errors()


def _values(fields: Fields, *, now: datetime) -> dict[str, Any]:
    """Returns the columns that a body sets. A null counts as omitted, except in _NULLABLE."""
    body = fields.body
    found: dict[str, Any] = {}
    for name, longest in TEXTS.items():
        text = body.get(name)
        if name == "title" and text == "":
            found[name] = ""
        elif text is not None:
            found[name] = fields.text(name, longest=longest) or ""
    if body.get("message") is not None:
        found["message"] = fields.text("message", longest=MAX_MESSAGE) or ""
    if body.get("target_filter") is not None:
        found["target_filter"] = fields.mapping("target_filter")
    elif "target_filter" in body or "target_group" in body:
        found["target_filter"] = {}
    if body.get("channels") is not None:
        found["channels"] = _channels(fields)
    if body.get("priority") is not None:
        found["priority"] = _priority(fields)
    found |= _per_minute(fields)
    found |= _tracking(fields)
    if "scheduled_at" in body:
        found["scheduled_at"] = _moment(fields, now=now)
    return found


def _tracking(fields: Fields) -> dict[str, Any]:
    """Returns the options of what is tracked; none where the body does not name it."""
    if not any(name in fields.body for name in TRACKING):
        return {}
    given = [name for name in TRACKING if fields.body.get(name) is not None]
    return {"options": {name: fields.flag(name, True) for name in given}}


def _channels(fields: Fields) -> list[str]:
    listed = fields.items("channels") or []
    if all(isinstance(each, str) for each in listed):
        return listed
    fields.add_error("channels", "wrong_type", "must be a list of channel names")
    return default_channels()


def _priority(fields: Fields) -> int:
    try:
        return int(parse_priority(fields.body["priority"]))
    except (TypeError, ValueError):
        detail = "must be 1, 2, 3 or 4, or critical, high, normal or low"
        fields.add_error("priority", "invalid_priority", detail)
        return 3


def _per_minute(fields: Fields) -> dict[str, Any]:
    """Returns the limit of recipients a minute; nothing where the body does not name it."""
    if "per_minute" not in fields.body:
        return {}
    value = fields.body["per_minute"]
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if value is not None and not (is_number and 1 <= value <= MOST_PER_MINUTE):
        detail = f"must be a whole number from 1 to {MOST_PER_MINUTE:,}, or null for no limit"
        fields.add_error("per_minute", "invalid", detail)
        return {}
    return {"per_minute": value}


def _moment(fields: Fields, *, now: datetime) -> datetime | None:
    moment = fields.moment("scheduled_at")
    if moment is not None and moment <= now:
        fields.add_error("scheduled_at", "in_the_past", "must be in the future")
    return moment


def no_recipients(group: str) -> InvalidRequest:
    """Returns the error that the audience is empty."""
    detail = f"No recipients found for group {group}"
    return InvalidRequest([FieldError("target_group", "no_recipients", detail)], detail)
