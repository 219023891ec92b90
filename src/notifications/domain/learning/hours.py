"""Hours of the week on a person's own clock, and the periods by which counts grow old. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta, tzinfo

HOURS = 168
"""The hours of a week; hour 0 begins on Monday at midnight."""
PERIOD_DAYS = 28
DAY_BEGINS, DAY_ENDS = 8, 21
"""The hours of the clock between which it is day."""
_DAY_S, _HOUR_S = 86_400, 3_600
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def hour_of_week(instant: datetime, zone: tzinfo) -> int:
    """Returns the hour of the week, from 0 to 167, that the clock of a zone shows."""
    local = instant.astimezone(zone)
    return local.weekday() * 24 + local.hour


def name_of_hour(hour: int) -> str:
    """Returns an hour of the week in words, e.g. `Tuesday 09:00`."""
    return f"{_DAYS[hour // 24]} {hour % 24:02}:00"


def period_of(instant: datetime) -> int:
    """Returns the number of the period of 28 days that has an instant."""
    return int(instant.timestamp()) // (PERIOD_DAYS * _DAY_S)


def day_of_period(period: int) -> date:
    """Returns the first day, in UTC, of a period."""
    return date(1970, 1, 1) + timedelta(days=period * PERIOD_DAYS)


def first_period(now: datetime, days: int) -> int:
    """Returns the oldest period that counts, which has the day so many days ago."""
    return period_of(now) - days // PERIOD_DAYS


def hours_within(start: datetime, zone: tzinfo, hours: int) -> list[datetime]:
    """Returns the instants at which a message may be due: `start`, then each full local hour.

    All are before `start` + `hours`.
    """
    return list(_from(start, zone, start + timedelta(hours=hours)))


def by_day(instants: Sequence[datetime], zone: tzinfo) -> list[datetime]:
    """Returns the instants at which it is day where the clock of a zone is."""
    return [at for at in instants if DAY_BEGINS <= at.astimezone(zone).hour < DAY_ENDS]


def _from(start: datetime, zone: tzinfo, end: datetime) -> Iterator[datetime]:
    at = start
    while at < end:
        yield at
        local = at.astimezone(zone)  # read again for each: a clock may change by half an hour
        passed = timedelta(
            minutes=local.minute, seconds=local.second, microseconds=local.microsecond
        )
        at += timedelta(seconds=_HOUR_S) - passed
