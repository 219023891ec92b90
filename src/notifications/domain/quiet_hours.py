"""Quiet hours: a daily window in which messages of low priority are deferred. Pure.

The window is [start, end): its first minute is quiet, its end is not. A start after the end spans
midnight. A start equal to the end means no quiet hours.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo

from notifications.domain.wall_clock import change_between, counted

_DAY = timedelta(days=1)
_PIECES = 8  # stretches without a change of the clock; windows end within two of them


def is_quiet(wall: time, *, start: time, end: time) -> bool:
    """Returns whether a time of day lies within the window."""
    if start <= end:
        return start <= wall < end
    return wall >= start or wall < end


def quiet_until(*, now: datetime, start: time, end: time, zone: tzinfo) -> datetime | None:
    """Returns the earliest instant (UTC) whose wall-clock time is outside the window; None for now.

    An end in a gap therefore counts as the end of the gap, unless the window has begun again by
    then. A clock that is set back to before the start ends the quiet hours at that moment.
    """
    if start == end:
        return None
    instant = counted(now)
    for _ in range(_PIECES):
        wall = instant.astimezone(zone)
        if not is_quiet(wall.time(), start=start, end=end):
            break
        ends = instant + _time_to(wall.time(), end)
        instant = change_between(instant, ends, zone) or ends
    return None if instant == counted(now) else instant.astimezone(UTC)


def _time_to(wall: time, end: time) -> timedelta:
    """Returns how long a steady clock takes from one time of day to the next of another."""
    return (_since_midnight(end) - _since_midnight(wall)) % _DAY or _DAY


def _since_midnight(wall: time) -> timedelta:
    return timedelta(
        hours=wall.hour,
        minutes=wall.minute,
        seconds=wall.second,
        microseconds=wall.microsecond,
    )
