"""Reads when a notification is sent: at an instant, at a local time, once or repeatedly."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo

from directory.moments import (
    FARTHEST_OFFSET,
    MomentOutOfRange,
    check_moment,
    check_wall_time,
    read_moment_or_wall_time,
)
from notifications.domain.recurrence_rule import InvalidRule, Rule, parse_rule
from notifications.domain.timing import Misfire, Timing
from notifications.domain.wall_clock import instant_of, zone_named
from notifications.intake.fields import Fields

GRACE_MINUTES = 60
MAX_GRACE_MINUTES = 7 * 24 * 60


def read_timing(fields: Fields, *, now: datetime) -> Timing | None:
    """Reads the timing from `scheduled_at`, `recurrence`, `timezone`, `local_time`, `misfire` and
    `grace_minutes`.

    Returns None and adds errors to `fields` where it is wrong.
    """
    before = len(fields.errors)
    zone, rule, at = _zone(fields), _rule(fields), _local_time(fields)
    misfire, grace = _misfire(fields)
    written = _written(fields)
    if written is None or len(fields.errors) > before:
        return None
    if at is not None:
        shown = written.astimezone(zone) if zone and written.tzinfo else written
        wall = datetime.combine(shown.date(), at)
        if not _is_accepted(fields, wall - FARTHEST_OFFSET, wall + FARTHEST_OFFSET):
            return None
        return Timing(wall=wall, rule=rule, misfire=misfire, grace=grace)
    instant = _instant(written, zone)
    if not _is_accepted(fields, instant):
        return None
    if instant <= now:
        fields.add_error("scheduled_at", "in_the_past", "must lie in the future")
        return None
    if rule is not None and zone is not None:
        wall = instant.astimezone(zone).replace(tzinfo=None)
        return Timing(wall=wall, zone=zone, rule=rule, misfire=misfire, grace=grace)
    return Timing(instant=instant, rule=rule, misfire=misfire, grace=grace)


def _is_accepted(fields: Fields, *moments: datetime) -> bool:
    """Returns whether moments are within the accepted range; adds an error otherwise."""
    try:
        for moment in moments:
            check_moment(moment)
    except MomentOutOfRange as error:
        fields.add_error("scheduled_at", error.code, str(error))
        return False
    return True


def _instant(written: datetime, zone: tzinfo | None) -> datetime:
    """Returns the instant of a time. Without an offset it is in the named zone, else in UTC."""
    if written.tzinfo is not None:
        return written.astimezone(UTC)
    return instant_of(written, zone or UTC)


def _written(fields: Fields) -> datetime | None:
    if fields.body.get("scheduled_at") is None:
        fields.add_error("scheduled_at", "required", "is required: a time in the future")
        return None
    return fields.read("scheduled_at", read_moment_or_wall_time)


def _zone(fields: Fields) -> tzinfo | None:
    name = fields.text("timezone", longest=64)
    if name is None:
        return None
    zone = zone_named(name)
    if zone is None:
        fields.add_error(
            "timezone", "unknown_timezone", "must be an IANA zone such as Europe/Paris"
        )
    return zone


def _rule(fields: Fields) -> Rule | None:
    text = fields.text("recurrence", longest=500)
    if text is None:
        return None
    try:
        rule = parse_rule(text)
        if rule.until is not None:
            (check_moment if rule.until.tzinfo else check_wall_time)(rule.until)
    except InvalidRule as error:
        fields.add_error("recurrence", "invalid_recurrence", str(error))
        return None
    except MomentOutOfRange as error:
        fields.add_error("recurrence", error.code, f"UNTIL {error}")
        return None
    return rule


def _local_time(fields: Fields) -> time | None:
    text = fields.text("local_time", longest=20)
    if text is None:
        return None
    try:
        found = time.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is not None or found.second or found.microsecond:
        fields.add_error("local_time", "invalid_time", "must be a time of day such as 09:00")
        return None
    return found


def _misfire(fields: Fields) -> tuple[Misfire, timedelta]:
    word = fields.body.get("misfire", Misfire.SEND_LATE)
    minutes = fields.body.get("grace_minutes", GRACE_MINUTES)
    if word not in list(Misfire):
        fields.add_error("misfire", "invalid", f"must be one of {', '.join(Misfire)}")
        word = Misfire.SEND_LATE
    if isinstance(minutes, bool) or not isinstance(minutes, int):
        fields.add_error("grace_minutes", "wrong_type", "must be a whole number of minutes")
        minutes = GRACE_MINUTES
    elif not 1 <= minutes <= MAX_GRACE_MINUTES:
        fields.add_error("grace_minutes", "invalid", f"must be from 1 to {MAX_GRACE_MINUTES:,}")
        minutes = GRACE_MINUTES
    elif "grace_minutes" in fields.body and word != Misfire.SEND_WITHIN:
        fields.add_error("grace_minutes", "invalid", "is for misfire send_within only")
    return Misfire(word), timedelta(minutes=minutes)
