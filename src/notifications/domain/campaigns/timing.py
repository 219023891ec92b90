"""When a campaign is due in a time zone. Pure.

A local time follows the rules of domain/wall_clock.py: one that a clock skips is due when the gap
ends, and one that it shows twice is due at its first occurrence.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from enum import StrEnum

from notifications.domain.wall_clock import counted_wall, instant_of, zone_named

_DAY = timedelta(days=1)
_MOST_DAYS = 4
_EASTERNMOST, _WESTERNMOST = "Pacific/Kiritimati", "Etc/GMT+12"
"""The zones in which a wall-clock time comes first and last."""


class LateZones(StrEnum):
    """What happens in a zone in which the local time is past when the campaign begins."""

    SEND_NOW = "send_now"
    NEXT_DAY = "next_day"


def first_instant(wall: datetime) -> datetime:
    """Returns the instant at which a wall-clock time (naive) comes first anywhere."""
    return _instant_in(wall, _EASTERNMOST)


def last_instant(wall: datetime) -> datetime:
    """Returns the instant at which a wall-clock time (naive) comes last anywhere."""
    return _instant_in(wall, _WESTERNMOST)


def due_in(wall: datetime, zone: tzinfo, *, began: datetime, late: LateZones) -> datetime:
    """Returns when a campaign that began at an instant is due in a zone.

    That is its local time there. Where it is past: at once, or at the same time of the next day.
    """
    at = instant_of(wall, zone)
    if at >= began:
        return at
    if late is LateZones.SEND_NOW:
        return began
    local = began.astimezone(zone).replace(tzinfo=None)
    day = counted_wall(datetime.combine(local.date(), wall.time()))
    for number in range(_MOST_DAYS):
        at = instant_of(counted_wall(day + number * _DAY), zone)
        if at >= began:
            break
    return max(at, began)


def _instant_in(wall: datetime, name: str) -> datetime:
    zone = zone_named(name)
    assert zone is not None, "the zone is part of every IANA database"
    return instant_of(wall, zone)
