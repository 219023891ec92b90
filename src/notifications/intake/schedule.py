"""What a caller may ask of the schedule: a text for some people, at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from notifications.domain.errors import FieldError, InvalidRequest
from notifications.domain.identifiers import parse_identifier
from notifications.intake.fields import Fields
from notifications.intake.request import MAX_RECIPIENTS, Terms
from notifications.intake.validate import read_channels, read_priority

TITLE_MAX = 200
MESSAGE_MAX = 10_000
DEFAULT_CHANNELS = ("in_app",)


class ScheduleBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A text for up to 10,000 users at a time to come. type names a category, or is a word of the
    caller's own; data goes along with the text."""

    recipients: list[str | int]
    title: str
    message: str
    scheduled_at: datetime
    type: str = "system"
    priority: int | str = "normal"
    data: dict[str, Any] = {}
    channels: list[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRequest:
    """A valid request. terms.scheduled_at is the time that was asked for."""

    terms: Terms
    recipients: tuple[int | UUID, ...]
    scheduled_at: datetime
    text: dict[str, Any]
    kind: str


def parse_schedule(body: Mapping[str, Any], *, now: datetime) -> ScheduleRequest:
    """A request for the schedule.

    Raises:
        InvalidRequest: with every field's error.
    """
    fields = Fields(body)
    fields.refuse_unknown(ScheduleBody.__struct_fields__)
    recipients = _recipients(fields)
    title = fields.text("title", required=True, longest=TITLE_MAX)
    message = fields.text("message", required=True, longest=MESSAGE_MAX)
    kind = fields.text("type", longest=50) or "system"
    data = fields.mapping("data")
    scheduled_at = _moment(fields, now=now)
    channels = read_channels(fields, DEFAULT_CHANNELS)
    priority = read_priority(fields)
    fields.done()
    text: dict[str, Any] = {"title": title, "message": message}
    return ScheduleRequest(
        terms=Terms(
            template_path="",
            channels=channels,
            priority=priority,
            category=kind,
            context={},
            scheduled_at=scheduled_at,
            expires_at=None,
            collapse_key=None,
            ordering_key=None,
            options={"retry_policy": "scheduled"},
        ),
        recipients=recipients,
        scheduled_at=scheduled_at or now,
        text={**text, "data": data} if data else text,
        kind=kind,
    )


def _recipients(fields: Fields) -> tuple[int | UUID, ...]:
    listed = fields.items("recipients")
    if listed is None:
        if fields.body.get("recipients") is None:
            fields.fault("recipients", "required", "is required: a list of user ids")
        return ()
    if not listed:
        fields.fault("recipients", "invalid", "must name at least one recipient")
    elif len(listed) > MAX_RECIPIENTS:
        detail = f"takes up to {MAX_RECIPIENTS:,} recipients, not {len(listed):,}"
        fields.fault("recipients", "too_many_recipients", f"{detail}; make several calls")
        return ()
    found: dict[int | UUID, None] = {}
    for index, value in enumerate(listed):
        user = parse_identifier(value) if isinstance(value, str | int) else None
        if user is None:
            fields.fault(f"recipients[{index}]", "invalid_user", "must be an integer id or a UUID")
            break  # a list of another kind would repeat itself ten thousand times
        found[user] = None
    return tuple(found)


def _moment(fields: Fields, *, now: datetime) -> datetime | None:
    moment = fields.moment("scheduled_at")
    if fields.body.get("scheduled_at") is None:
        fields.fault("scheduled_at", "required", "is required: a time to come")
    elif moment is not None and moment <= now:
        fields.fault("scheduled_at", "in_the_past", "must lie in the future")
    return moment


def nobody_found(unknown: list[str]) -> InvalidRequest:
    """The error for a list of recipients of whom none exists."""
    names = ", ".join(unknown[:10])
    return InvalidRequest([FieldError("recipients", "unknown_user", f"there is no user {names}")])
