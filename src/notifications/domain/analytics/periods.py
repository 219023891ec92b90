"""Ranges of time, split into the whole quarters, hours and days over which counts are stored. Pure.

Counts are stored by quarter of an hour, and their sums by hour and day, all in UTC. Every offset of
a time zone since 2000 is a multiple of a quarter, so every day of every zone is exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import NamedTuple

from notifications.domain.engagement import QUARTER_S
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.domain.wall_clock import instant_of, zone_named

QUARTER = timedelta(seconds=QUARTER_S)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOST_DAYS = 1_100
"""The longest range: three years."""
MOST_BUCKETS = 2_000
"""The longest series."""
FIRST_YEAR, LAST_YEAR = 2000, 2200
"""Before 2000 some zones had offsets that are no multiple of a quarter of an hour."""


class MetricInterval(StrEnum):
    """The length of the buckets of a series, in the time zone of the request."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"


class Grain(StrEnum):
    """For which spans counts are stored."""

    QUARTER = "quarter"
    HOUR = "hour"
    DAY = "day"


_LENGTHS = {Grain.QUARTER: QUARTER, Grain.HOUR: HOUR, Grain.DAY: DAY}


class Span(NamedTuple):
    """An instant, and the one at which the span ends, which is not in it. Both are in UTC."""

    start: datetime
    end: datetime


class Piece(NamedTuple):
    """A part of a bucket that consists of whole spans of one grain."""

    bucket: int
    grain: Grain
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A range of a request. first, last: its days in the zone, both in it."""

    span: Span
    zone: tzinfo
    first: date
    last: date

    def buckets(self, interval: MetricInterval | None) -> list[Span]:
        """Returns the spans of a series, in order; the whole range without an interval.

        The first and the last may be shorter than the others, as may be those in which clocks are
        changed.

        Raises:
            InvalidRequest: too_many_intervals.
        """
        if interval is None:
            return [self.span]
        found: list[Span] = []
        start = self.span.start
        for end in _boundaries(self.span, self.zone, interval):
            found.append(Span(start, end))
            start = end
            if len(found) > MOST_BUCKETS:
                text = f"a series has at most {MOST_BUCKETS} intervals: ask for a shorter range"
                raise _refused("interval", "too_many_intervals", text)
        return found


def period_of(start: str, end: str, zone: str) -> Period:
    """Reads a range. start, end: dates (the end is included), or times (it is not) as RFC 3339.

    A time without an offset is one of the zone.

    Raises:
        InvalidRequest: invalid_date, unknown_timezone, range_not_aligned, range_too_long or
            range_reversed.
    """
    found = zone_named(zone) if zone else UTC
    if found is None:
        detail = "must be an IANA zone such as Europe/Paris"
        raise _refused("tz", "unknown_timezone", detail)
    first, last = _read("start_date", start), _read("end_date", end)
    begins = _instant(first, found)
    ends = _instant(last + DAY if not isinstance(last, datetime) else last, found)
    for name, moment in (("start_date", begins), ("end_date", ends)):
        if moment.timestamp() % QUARTER_S:
            raise _refused(name, "range_not_aligned", "must be on a quarter of an hour")
    if ends <= begins:
        raise _refused("end_date", "range_reversed", "must be after the start")
    if ends - begins > MOST_DAYS * DAY:
        raise _refused("end_date", "range_too_long", f"a range has at most {MOST_DAYS} days")
    shown = (ends - QUARTER).astimezone(found).date()
    return Period(
        span=Span(begins, ends), zone=found, first=begins.astimezone(found).date(), last=shown
    )


def days_of(first: date, last: date, zone: tzinfo = UTC) -> Period:
    """Returns the range of whole days of a zone, both included."""
    span = Span(_instant(first, zone), _instant(last + DAY, zone))
    return Period(span=span, zone=zone, first=first, last=last)


def pieces_of(buckets: Sequence[Span]) -> list[Piece]:
    """Splits each bucket into as few spans as possible: days, hours around them, quarters."""
    return [
        Piece(number, *part) for number, bucket in enumerate(buckets) for part in _split(bucket)
    ]


def _split(bucket: Span) -> Iterator[tuple[Grain, datetime, datetime]]:
    hours = Span(_ceiling(bucket.start, HOUR), _floor(bucket.end, HOUR))
    if hours.start >= hours.end:
        yield Grain.QUARTER, bucket.start, bucket.end
        return
    days = Span(_ceiling(hours.start, DAY), _floor(hours.end, DAY))
    if days.start >= days.end:
        days = Span(hours.end, hours.end)
    for grain, start, end in (
        (Grain.QUARTER, bucket.start, hours.start),
        (Grain.HOUR, hours.start, days.start),
        (Grain.DAY, days.start, days.end),
        (Grain.HOUR, days.end, hours.end),
        (Grain.QUARTER, hours.end, bucket.end),
    ):
        if start < end:
            yield grain, start, end


def floor_to(moment: datetime, grain: Grain) -> datetime:
    """Returns the beginning, in UTC, of the span of a grain that has this moment."""
    return _floor(moment, _LENGTHS[grain])


def _floor(moment: datetime, length: timedelta) -> datetime:
    seconds = int(length.total_seconds())
    return datetime.fromtimestamp(int(moment.timestamp()) // seconds * seconds, UTC)


def _ceiling(moment: datetime, length: timedelta) -> datetime:
    below = _floor(moment, length)
    return below if below == moment else below + length


def _boundaries(span: Span, zone: tzinfo, interval: MetricInterval) -> Iterator[datetime]:
    """Yields the ends of the buckets; the last is the end of the span."""
    steps = _hours(span, zone) if interval is MetricInterval.HOUR else _days(span, zone, interval)
    last = span.start
    for moment in steps:
        if last < moment < span.end:  # a day that a zone skipped has no length
            yield moment
            last = moment
    yield span.end


def _hours(span: Span, zone: tzinfo) -> Iterator[datetime]:
    """Yields the instants at which a clock of the zone shows a full hour."""
    moment = span.start
    while moment < span.end:
        shown = moment.astimezone(zone)
        if shown.minute == 0 and shown.second == 0:
            yield moment
        moment += QUARTER


def _days(span: Span, zone: tzinfo, interval: MetricInterval) -> Iterator[datetime]:
    """Yields the beginnings of the days, or of the weeks, which begin on Monday."""
    day = span.start.astimezone(zone).date()
    while (begins := _instant(day, zone)) < span.end:
        if interval is MetricInterval.DAY or day.weekday() == 0:
            yield begins
        day += DAY


def _read(name: str, text: str) -> date:
    """Reads a date, or a time, which is a datetime."""
    try:
        found = date.fromisoformat(text) if len(text) <= 10 else datetime.fromisoformat(text)
    except ValueError as error:
        detail = "must be a date such as 2026-11-30, or a time of RFC 3339"
        raise _refused(name, "invalid_date", detail) from error
    if not FIRST_YEAR <= found.year < LAST_YEAR:
        detail = f"must be in the years {FIRST_YEAR} to {LAST_YEAR - 1}"
        raise _refused(name, "invalid_date", detail)
    return found


def _instant(moment: date, zone: tzinfo) -> datetime:
    if not isinstance(moment, datetime):
        return instant_of(datetime.combine(moment, time()), zone)
    if moment.tzinfo is None:
        return instant_of(moment, zone)
    return moment.astimezone(UTC)


def _refused(name: str, code: str, detail: str) -> InvalidRequest:
    return InvalidRequest([FieldError(name, code, detail)])
