"""Reads what callers give for a campaign into its row, and checks it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from directory.models import Segment
from notifications.domain.campaigns.timing import LateZones, first_instant, last_instant
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.features.campaigns.contents import CampaignContent, content_of, resolve_audience
from notifications.features.campaigns.learned.checking import check_learned
from notifications.features.campaigns.variants.plan import check_plan
from notifications.features.learning.options import GIVEN, LEARNED, SCHEDULED
from notifications.intake.fields import Fields
from notifications.intake.validate import read_context
from notifications.models import Campaign
from notifications.models.sources.broadcast import BroadcastDelivery

LONGEST_AHEAD = timedelta(days=366)
"""How far ahead a campaign is scheduled at most: its people have their rows from its begin on."""
UTM_NAMES = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
_COLUMNS = frozenset(
    {
        "name",
        "description",
        "audience",
        "template_path",
        "channels",
        "delivery",
        "priority",
        "late_zones",
        "per_minute",
        "holdout_percent",
        "send_window_hours",
        "send_at_night",
        "learning_holdout_percent",
        "track_opens",
        "track_clicks",
        "needs_approval",
    }
)
"""Fields that the row stores as they are given."""
_WORDS = {
    "delivery": tuple(BroadcastDelivery.values),
    "late_zones": tuple(map(str, LateZones)),
    "send_time": (SCHEDULED, LEARNED),
    "channel_choice": (GIVEN, LEARNED),
}
"""Fields that are one of some words."""


def given_values(body: msgspec.Struct) -> dict[str, Any]:
    """Returns the fields of a body that were given, by name."""
    names = body.__struct_fields__
    return {name: value for name in names if (value := getattr(body, name)) is not UNSET}


def apply_values(row: Campaign, given: Mapping[str, Any], *, now: datetime) -> CampaignContent:
    """Sets values on a row without saving it, and checks the whole campaign.

    Sets the size of its audience, too. Returns what its messages say.

    Raises:
        InvalidRequest: with every error of the fields, or of what they name; no_recipients.
    """
    errors = _apply_plain(row, given)
    if "category" in given:
        row.category = given["category"] or ""
    if "context" in given:
        row.context = _context(given["context"], errors)
    if "utm" in given:
        row.utm = _utm(given["utm"], errors)
    if "exclude" in given:
        row.exclude = _excluded(given["exclude"], errors)
    if "ab_test" in given:
        plan = given["ab_test"]
        row.ab_test = None if plan is None else msgspec.to_builtins(plan)
    if given.keys() & {"scheduled_at", "per_timezone"}:
        _apply_times(row, given, errors, now=now)
    if len(set(row.channels)) < len(row.channels):
        errors.append(FieldError("channels", "duplicate_channel", "names a channel twice"))
    errors += check_plan(row, per_zone=given.get("per_timezone", bool(row.local_time)))
    if errors:
        raise InvalidRequest(errors)
    return check(row, now=now)


def _apply_plain(row: Campaign, given: Mapping[str, Any]) -> list[FieldError]:
    """Sets what needs no other field; returns the errors of words that are not known."""
    for name in _COLUMNS & given.keys():
        setattr(row, name, given[name])
    for name in given.keys() & {"send_time", "channel_choice"}:
        setattr(row, name, LEARNED if given[name] == LEARNED else "")
    return [
        FieldError(name, "invalid_choice", f"must be one of {', '.join(words)}")
        for name, words in _WORDS.items()
        if name in given and given[name] not in words
    ]


def check(row: Campaign, *, now: datetime) -> CampaignContent:
    """Checks what a campaign names, and sets the size of its audience; nothing is saved.

    Raises:
        InvalidRequest: with the errors of its template, its audience and what it says of learned
            hours and channels; no_recipients.
    """
    errors = check_learned(row)
    content = None
    try:
        content = content_of(row)
    except InvalidRequest as error:
        errors += error.errors
    try:
        row.audience_count = resolve_audience(row, now=now).count()
        if not row.audience_count:
            errors.append(no_recipients())
    except InvalidRequest as error:
        errors += error.errors
    if content is None or errors:
        raise InvalidRequest(errors)
    return content


def no_recipients() -> FieldError:
    """Returns the error that the audience is empty."""
    return FieldError("audience", "no_recipients", "no active user is in the audience")


def check_time(row: Campaign, *, now: datetime) -> datetime:
    """Returns when a campaign begins by its schedule: at its time, or when it is due anywhere.

    Raises:
        InvalidRequest: required, without a time; in_the_past; time_out_of_range, beyond
            366 days.
    """
    wall = row.wall
    if wall is None and row.scheduled_at is None:
        raise _time_error("required", "is required: when to send it")
    last = last_instant(wall) if wall else row.scheduled_at
    if last is None or last <= now:
        raise _time_error("in_the_past", "must be in the future")
    if last > now + LONGEST_AHEAD:
        raise _time_error("time_out_of_range", "must be within 366 days")
    return max(first_instant(wall), now) if wall else last


def _time_error(code: str, detail: str) -> InvalidRequest:
    return InvalidRequest([FieldError("scheduled_at", code, detail)])


def _context(value: dict[str, Any], errors: list[FieldError]) -> dict[str, Any]:
    fields = Fields({"context": value})
    context, _ = read_context(fields)
    errors += fields.errors
    return context


def _utm(value: Mapping[str, str], errors: list[FieldError]) -> dict[str, str]:
    for name in value:
        if name not in UTM_NAMES:
            detail = f"is no parameter; known: {', '.join(UTM_NAMES)}"
            errors.append(FieldError(f"utm.{name}"[:300], "unknown_field", detail))
    return {name: value[name] for name in UTM_NAMES if name in value}


def _excluded(named: Iterable[int | UUID], errors: list[FieldError]) -> list[str]:
    """Returns the UUIDs of saved segments, each once."""
    found: dict[str, None] = {}
    for place, key in enumerate(named):
        lookup = {"uuid" if isinstance(key, UUID) else "pk": key}
        segment = Segment.objects.filter(**lookup).first() if key else None
        if segment is None:
            detail = f"there is no segment {key}"
            errors.append(FieldError(f"exclude[{place}]", "unknown_segment", detail))
        else:
            found[str(segment.uuid)] = None
    return list(found)


def _apply_times(
    row: Campaign, given: Mapping[str, Any], errors: list[FieldError], *, now: datetime
) -> None:
    per_zone = given.get("per_timezone", bool(row.local_time))
    written = given.get("scheduled_at", row.wall or row.scheduled_at)
    if written is not None and per_zone == (written.tzinfo is not None):
        detail = (
            "must have no offset with per_timezone: it is a local time"
            if per_zone
            else "must have an offset such as Z, or per_timezone must be true"
        )
        errors.append(FieldError("scheduled_at", "invalid", detail))
        return
    row.scheduled_at = None if per_zone else written
    row.local_time = ""
    if per_zone and written is not None:
        row.local_time = written.replace(microsecond=0).isoformat()
    if written is not None:
        try:
            check_time(row, now=now)
        except InvalidRequest as error:
            errors += error.errors
