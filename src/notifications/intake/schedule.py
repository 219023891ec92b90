"""Reads a request to the schedule: a text for some users at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from directory.references import PERSON_FORMS, PersonKey, read_person
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.domain.timing import Misfire, Timing
from notifications.infra.field_types import (
    Badge,
    ChannelName,
    Icon,
    Image,
    Link,
    PriorityNumber,
    PriorityWord,
    Sound,
    UserRef,
    ZoneName,
    choice,
)
from notifications.intake.extras import read_extras
from notifications.intake.fields import Fields
from notifications.intake.request import MAX_RECIPIENTS, Terms
from notifications.intake.timing import read_timing
from notifications.intake.validate import read_channels, read_priority

TITLE_MAX = 200
MESSAGE_MAX = 10_000
DEFAULT_CHANNELS = ("in_app",)


MisfireName = Annotated[
    str,
    choice(
        "Misfire",
        Misfire,
        "What happens when the time passed while nothing could be sent: `skip`, `send_late`, or"
        " `send_within` `grace_minutes`.",
    ),
]


class ScheduleBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A text for up to 10,000 users at a later time, once or by a recurrence rule."""

    recipients: list[UserRef]
    """From 1 to 10,000 users, each by id, UUID, or `ext:` and `external_id`."""

    title: str
    """The title, up to 200 characters. Example: `Lesson tomorrow`"""

    message: str
    """The text, up to 10,000 characters. Example: `Your lesson begins at 10:00.`"""

    scheduled_at: datetime
    """When to send it (RFC 3339), or the first time of a recurrence."""

    type: str = "system"
    """The key of a category, or a word of your own, up to 50 characters. Example: `course`"""

    priority: PriorityNumber | PriorityWord = "normal"
    """How urgent it is, as a number or a word. Example: `normal`"""

    data: dict[str, Any] = {}
    """Values that go along to the app on every channel that carries them, at most 4,096 bytes of
    JSON. Example: `{"lesson_id": 7}`"""

    link: Link = None
    image: Image = None
    icon: Icon = None
    sound: Sound = None
    badge: Badge = None

    channels: list[ChannelName] | None = None
    """All channels of the notification; left out, the inbox alone. Example: `["in_app", "push"]`"""

    recurrence: str | None = None
    """A recurrence rule of RFC 5545 (RRULE). Example: `FREQ=WEEKLY;BYDAY=MO`"""

    timezone: ZoneName | None = None
    """The time zone in which the recurrence keeps its wall-clock time. Example: `Europe/Paris`"""

    local_time: str | None = None
    """Sends at this time of day on the clock of each recipient (HH:MM). Example: `"09:00"`"""

    misfire: MisfireName = "send_late"
    grace_minutes: int | UnsetType = UNSET
    """How late `send_within` still sends, in minutes; 60 when left out. Example: `30`"""


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
