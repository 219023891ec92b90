"""Converts wall-clock times to instants, by these rules. Pure.

- A time that a clock skips (a gap) counts as the instant at which the gap ends.
- A time that a clock shows twice (an overlap) counts as its first occurrence.
- A calendar day that a clock skips as a whole does not exist.

RFC 5545 differs in the first rule: it uses the offset from before the gap, so 02:30 becomes 03:30.
Here it becomes 03:00, so that nothing happens later than the first moment after its time.

No function here fails for any time. A time at an end of the calendar counts as one near that end.

No zone has changed its offset twice within a week since 1990, nor will it by today's rules (a test
checks this). So the comparison of two offsets up to two days apart finds every change between.
"""

from __future__ import annotations

import functools
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_FIRST_COUNTED = datetime(3, 1, 1, tzinfo=UTC)
LAST_COUNTED = datetime(9997, 1, 1, tzinfo=UTC)
_FIRST_WALL, _LAST_WALL = datetime(2, 1, 1), datetime(9998, 1, 1)  # noqa: DTZ001 -- on a wall

LAST = datetime(2199, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
"""The end of the times that the service accepts (directory/moments.py). Nothing recurs after it."""


def counted(instant: datetime) -> datetime:
    """Returns the instant, or the nearest one from which months can be counted both ways."""
    aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return min(max(aware, _FIRST_COUNTED), LAST_COUNTED)


def counted_wall(wall: datetime) -> datetime:
    """Does the same for a wall-clock time (naive)."""
    return min(max(wall, _FIRST_WALL), _LAST_WALL)


@functools.lru_cache(maxsize=1024)
def zone_named(name: str) -> tzinfo | None:
    """Returns the zone of an IANA name, e.g. Europe/Paris; None when there is none."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return None


def first_zone(*names: str) -> tuple[tzinfo, str]:
    """Returns the first zone that exists, or UTC, and a note for the reason.

    The note is `:unknown_zone:<name>` when an earlier name does not exist; else it is empty.
    """
    note = ""
    for name in filter(None, names):
        zone = zone_named(name)
        if zone is not None:
            return zone, note
        note = note or f":unknown_zone:{name}"
    return UTC, note


def instant_of(wall: datetime, zone: tzinfo) -> datetime:
    """Returns the instant (UTC) at which the clock of a zone first shows a time.

    When it never shows it, returns the instant of the end of the gap. wall is naive.
    """
    wall = counted_wall(wall)
    early = wall.replace(tzinfo=zone, fold=0)
    instant = early.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    change = change_between(wall.replace(tzinfo=zone, fold=1).astimezone(UTC), instant, zone)
    return change or instant


def change_between(after: datetime, until: datetime, zone: tzinfo) -> datetime | None:
    """Returns the instant in (after, until] at which a zone's offset changes; None without one.

    after and until are instants, at most two days apart.
    """
    after, until = counted(after), counted(until)
    offset = after.astimezone(zone).utcoffset()
    if until.astimezone(zone).utcoffset() == offset:
        return None
    before, behind = after, until
    while behind - before > _SECOND:
        middle = before + (behind - before) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            behind = middle
    return behind.replace(microsecond=0)


def day_exists(day: date, zone: tzinfo) -> bool:
    """Returns whether a zone has a calendar day at all (Samoa had no 30 December 2011)."""
    midnight = counted_wall(datetime.combine(day, time()))
    return instant_of(midnight, zone) < instant_of(midnight + _DAY, zone)
