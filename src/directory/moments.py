"""Reads times that callers give: one range and one parser for all routes, files and commands.

The range is 1970-01-01 to 2199-12-31 in UTC. Within it, no zone's offset and no period that the
service adds exceeds what Python or a database can hold. A stored time outside the range (written
by hand or by an older version) is read as the nearest end of the range.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2199, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
RANGE = "1970-01-01 to 2199-12-31 (UTC)"
EXAMPLE = "2030-01-31T09:00:00+01:00"
FARTHEST_OFFSET = timedelta(hours=24)

_TIME = re.compile(
    r"(?P<year>[+-]?[0-9]{4,6})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"(?:[Tt ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})"
    r"(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,100}))?)?"
    r"(?P<offset>[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?)?",
    re.ASCII,
)


class InvalidMoment(ValueError):
    """The text is not a time. The message says what to write instead."""

    code = "invalid_time"


class MomentOutOfRange(InvalidMoment):
    """The time is before 1970 or after 2199."""

    code = "time_out_of_range"

    def __init__(self) -> None:
        super().__init__(f"must lie within {RANGE}")


def read_moment(text: str, *, assumed: tzinfo = UTC) -> datetime:
    """Reads the time in an RFC 3339 text. Without an offset it is a time in the zone `assumed`.

    A day alone means its midnight. Digits beyond microseconds are cut off.

    Raises:
        InvalidMoment: the text is not a time.
        MomentOutOfRange: the time is outside the accepted range.
    """
    written = read_moment_or_wall_time(text)
    return check_moment(written if written.tzinfo else written.replace(tzinfo=assumed))


def read_moment_or_wall_time(text: str) -> datetime:
    """Reads the same texts as `read_moment`; returns a naive time where the text has no offset.

    A naive time may be up to a day outside the accepted range, because its zone is not known yet.

    Raises:
        InvalidMoment: the text is not a time.
        MomentOutOfRange: the time is outside the accepted range.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise InvalidMoment(f"must be a time such as {EXAMPLE}")
    if not EARLIEST.year - 1 <= int(found["year"]) <= LATEST.year + 1:
        raise MomentOutOfRange
    fraction = (found["fraction"] or "")[:6].ljust(6, "0")
    try:
        written = datetime(  # noqa: DTZ001 -- the offset is read next
            int(found["year"]),
            int(found["month"]),
            int(found["day"]),
            int(found["hour"] or 0),
            int(found["minute"] or 0),
            int(found["second"] or 0),
            int(fraction),
        )
        offset = _offset(found["offset"])
    except ValueError as error:
        raise InvalidMoment(f"must be a time such as {EXAMPLE}") from error
    if offset is not None:
        return check_moment(written.replace(tzinfo=offset))
    check_wall_time(written)
    return written


def _offset(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text in "Zz":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if minutes > 59:
        raise ValueError("an offset has at most 59 minutes")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)


def check_moment(moment: datetime) -> datetime:
    """Returns the moment with a zone; a naive moment is taken as UTC.

    Raises:
        MomentOutOfRange: the moment is outside the accepted range.
    """
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not EARLIEST <= aware <= LATEST:
        raise MomentOutOfRange
    return aware


def check_wall_time(wall: datetime) -> datetime:
    """Returns a naive time that is inside the accepted range in at least one zone.

    Raises:
        MomentOutOfRange: the time is outside the range in every zone.
    """
    first, last = EARLIEST.replace(tzinfo=None), LATEST.replace(tzinfo=None)
    if not first - FARTHEST_OFFSET <= wall <= last + FARTHEST_OFFSET:
        raise MomentOutOfRange
    return wall


def read_day(text: str) -> date:
    """Reads a calendar day such as `2030-01-31`.

    Raises:
        InvalidMoment: the text is not a day.
        MomentOutOfRange: the day is outside the accepted range.
    """
    found = _TIME.fullmatch(text)
    if found is None or found["hour"] is not None:
        raise InvalidMoment("must be a day such as 2030-01-31")
    try:
        return read_moment(text).date()
    except MomentOutOfRange:
        raise
    except InvalidMoment as error:
        raise InvalidMoment("must be a day such as 2030-01-31") from error


def clamp_moment(moment: datetime) -> datetime:
    """Returns the moment, or the nearest end of the accepted range. Never fails."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(aware, EARLIEST), LATEST)


def read_stored(text: str) -> datetime:
    """Reads a moment from the text of a database, clamped to the accepted range. Never fails.

    A text that cannot be read gives the latest moment, or the earliest one where the text is
    negative or ends with BC.
    """
    try:
        return clamp_moment(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        past = text.startswith("-") or text.endswith("BC")
        return EARLIEST if past else LATEST
