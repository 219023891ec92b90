"""Digest periods: when a digest is sent, by the wall clock of the person. Pure.

- hourly: at every full hour, and at each change of the clock.
- daily: at the midnight that ends a local day; a day that is skipped as a whole ends nothing.
- weekly: at the midnight that ends a Sunday.

A period is named by the closing that ends it. A message after a closing belongs to the next
period, also where a clock is set back over midnight: no period closes twice.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo

from notifications.domain.wall_clock import change_between, counted, instant_of

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


def digest_period(*, frequency: str, now: datetime, zone: tzinfo) -> tuple[str, datetime]:
    """Returns the name of the period of an instant, and when it closes (UTC, after now).

    frequency: hourly, daily or weekly. The name is `<frequency>:<closing>`: for hours the instant
    in UTC, for days and weeks the local date that begins then, e.g. `daily:2030-05-02`.
    """
    now = counted(now)
    if frequency == "hourly":
        closes = _next_hour(now, zone)
        return f"hourly:{closes:%Y-%m-%dT%H:%M}", closes
    day = now.astimezone(zone).date()
    while True:
        day += _DAY if frequency == "daily" else timedelta(days=7 - day.weekday())
        closes = _begin_of(day, zone)
        if closes > now:
            return f"{frequency}:{day:%Y-%m-%d}", closes


def _next_hour(now: datetime, zone: tzinfo) -> datetime:
    wall = now.astimezone(zone).replace(tzinfo=None)
    full = wall.replace(minute=0, second=0, microsecond=0) + _HOUR
    closes = now.astimezone(UTC) + (full - wall)
    return change_between(now, closes, zone) or closes


def _begin_of(day: date, zone: tzinfo) -> datetime:
    return instant_of(datetime.combine(day, time()), zone)
