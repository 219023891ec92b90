"""Reads a request to the schedule: a text for some users at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from directory.references import PERSON_FORMS, PersonKey, read_person
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.domain.timing import Timing
from notifications.intake.extras import read_extras
from notifications.intake.fields import Fields
from notifications.intake.request import MAX_RECIPIENTS, Terms
from notifications.intake.timing import read_timing
from notifications.intake.validate import read_channels, read_priority

TITLE_MAX = 200
MESSAGE_MAX = 10_000
DEFAULT_CHANNELS = ("in_app",)


class ScheduleBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A text for up to 10,000 users at a time to come. type names a category, or is a word of the
    caller's own; data, link, image, icon, sound and badge go along with the text.

    recurrence: an RRULE. local_time: at this time of day on each recipient's own clock. misfire:
    skip, send_late (the default) or send_within `grace_minutes`.
    """

    recipients: list[str | int]
    title: str
    message: str
    scheduled_at: datetime
    type: str = "system"
    priority: int | str = "normal"
    data: dict[str, Any] = {}
    link: str | None = None
    image: str | None = None
    icon: str | None = None
    sound: str | None = None
    badge: int | None = None
    channels: list[str] | None = None
    recurrence: str | None = None
    timezone: str | None = None
    local_time: str | None = None
    misfire: str = "send_late"
    grace_minutes: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRequest:
    """A valid request to the schedule. The terms have no times yet; they are in `timing`."""

    terms: Terms
    recipients: tuple[PersonKey, ...]
    timing: Timing
    text: dict[str, Any]
    kind: str
    #: The recurrence rule as the caller wrote it.
    rule: str


def parse_schedule(body: Mapping[str, Any], *, now: datetime) -> ScheduleRequest:
    """Reads a request to the schedule.

    Raises:
        InvalidRequest: with every field's error.
    """
    fields = Fields(body)
    fields.refuse_unknown(ScheduleBody.__struct_fields__)
    recipients = _recipients(fields)
    title = fields.text("title", required=True, longest=TITLE_MAX)
    message = fields.text("message", required=True, longest=MESSAGE_MAX)
    kind = fields.text("type", longest=50) or "system"
    timing = read_timing(fields, now=now)
    channels = read_channels(fields, DEFAULT_CHANNELS)
    data = read_extras(fields, channels)
    priority = read_priority(fields)
    fields.raise_errors()
    assert timing is not None, "a timing that cannot be read is an error"
    text: dict[str, Any] = {"title": title, "message": message}
    return ScheduleRequest(
        terms=Terms(
            template_path="",
            channels=channels,
            priority=priority,
            category=kind,
            context={},
            scheduled_at=None,
            expires_at=None,
            collapse_key=None,
            ordering_key=None,
            options={"retry_policy": "scheduled"},
        ),
        recipients=recipients,
        timing=timing,
        text={**text, "data": data} if data else text,
        kind=kind,
        rule=str(body.get("recurrence") or ""),
    )


def _recipients(fields: Fields) -> tuple[PersonKey, ...]:
    listed = fields.items("recipients")
    if listed is None:
        if fields.body.get("recipients") is None:
            fields.add_error("recipients", "required", "is required: a list of user ids")
        return ()
    if not listed:
        fields.add_error("recipients", "invalid", "must name at least one recipient")
    elif len(listed) > MAX_RECIPIENTS:
        detail = f"takes up to {MAX_RECIPIENTS:,} recipients, not {len(listed):,}"
        fields.add_error("recipients", "too_many_recipients", f"{detail}; make several calls")
        return ()
    found: dict[PersonKey, None] = {}
    for index, value in enumerate(listed):
        user = read_person(value)
        if user is None:
            fields.add_error(f"recipients[{index}]", "invalid_user", f"must be {PERSON_FORMS}")
            break  # a list of another type would give 10,000 equal errors
        found[user] = None
    return tuple(found)


def no_known_recipient(unknown: list[str]) -> InvalidRequest:
    """Returns the error for a list of recipients none of whom exists."""
    names = ", ".join(unknown[:10])
    return InvalidRequest([FieldError("recipients", "unknown_user", f"there is no user {names}")])
