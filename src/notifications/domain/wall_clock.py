"""Wall clocks: from what a clock on the wall shows to an instant, by stated rules. Pure.

- A time that a clock skips (a gap) counts as the instant at which the gap ends.
- A time that a clock shows twice (an overlap) counts as its first occurrence.
- A calendar day that a clock skips as a whole does not exist.

RFC 5545 differs in the first (it takes the offset from before the gap: 02:30 becomes 03:30); here
it is 03:00, so that nothing happens later than at the first moment after its time.

No function here fails for any time: what lies at an end of the calendar
counts as a time some way from it.

No zone has changed its offset twice within a week since 1990, nor will by the rules known today (a
test holds it), so that comparing two offsets up to two days apart finds every change between.
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
    """The instant, or the nearest one from which months and offsets can be counted both ways."""
    aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return min(max(aware, _FIRST_COUNTED), LAST_COUNTED)


def counted_wall(wall: datetime) -> datetime:
    """The same for what a clock on the wall shows (naive)."""
    return min(max(wall, _FIRST_WALL), _LAST_WALL)


@functools.lru_cache(maxsize=1024)
def zone_named(name: str) -> tzinfo | None:
    """The zone of an IANA name, e.g. Europe/Paris; None when there is none."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return None


def first_zone(*names: str) -> tuple[tzinfo, str]:
    """The first of some zones that exists (UTC in the end), and a note for the reason when one that
    was named does not: `:unknown_zone:<name>`."""
    note = ""
    for name in filter(None, names):
        zone = zone_named(name)
        if zone is not None:
            return zone, note
        note = note or f":unknown_zone:{name}"
    return UTC, note


def instant_of(wall: datetime, zone: tzinfo) -> datetime:
    """The instant (UTC) at which a zone's clock first shows a time; that of the gap's end when it
    never does. wall is naive."""
    wall = counted_wall(wall)
    early = wall.replace(tzinfo=zone, fold=0)
    instant = early.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    change = change_between(wall.replace(tzinfo=zone, fold=1).astimezone(UTC), instant, zone)
    return change or instant


def change_between(after: datetime, until: datetime, zone: tzinfo) -> datetime | None:
    """The instant within (after, until] at which a zone's offset changes; None when it does not.

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
    """Whether a zone's clock shows a calendar day at all (Samoa's had no 30 December 2011)."""
    midnight = counted_wall(datetime.combine(day, time()))
    return instant_of(midnight, zone) < instant_of(midnight + _DAY, zone)
