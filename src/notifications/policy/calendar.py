"""Wall clocks of decisions: whose zone counts, when a mute ends, in which digest period one is."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo


@functools.lru_cache(maxsize=1024)
def _zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return None


def zone_of(*names: str) -> tuple[tzinfo, str]:
    """The first of some zones that exists (UTC in the end), and a note for the reason when one that
    was named does not: `:unknown_zone:<name>`."""
    note = ""
    for name in filter(None, names):
        zone = _zone(name)
        if zone is not None:
            return zone, note
        note = note or f":unknown_zone:{name}"
    return UTC, note


def mute_ends(
    *,
    now: datetime,
    quiet: tuple[time, time] | None,
    dnd_until: datetime | None,
    zone: tzinfo,
    note: str = "",
) -> tuple[datetime | None, str]:
    """When a person can be disturbed again and what forbids it now; (None, "") when nothing does.

    A do-not-disturb that ends within the quiet hours lasts until they end.
    """
    muted = dnd_until is not None and dnd_until > now
    start = dnd_until if muted and dnd_until is not None else now
    end = quiet_until(now=start, start=quiet[0], end=quiet[1], zone=zone) if quiet else None
    if muted:
        return end or start, "do_not_disturb"
    return end, f"quiet_hours{note}" if end else ""


def quiet_until(*, now: datetime, start: time, end: time, zone: tzinfo) -> datetime | None:
    """The end of the quiet hours that `now` lies in; None when it lies in none."""
    wall = now.astimezone(zone)
    inside = (
        start <= wall.time() < end if start < end else wall.time() >= start or wall.time() < end
    )
    if start == end or not inside:
        return None
    day = wall.date() if wall.time() < end else wall.date() + timedelta(days=1)
    return datetime.combine(day, end, zone).astimezone(UTC)


def digest_period(*, frequency: str, now: datetime, zone: tzinfo) -> tuple[str, datetime]:
    """The key of the digest period that `now` lies in, and when it closes."""
    wall = now.astimezone(zone).replace(minute=0, second=0, microsecond=0, tzinfo=None)
    if frequency == "hourly":
        return f"hourly:{wall:%Y-%m-%dT%H}", _instant(wall + timedelta(hours=1), zone)
    day = wall.replace(hour=0)
    step = 1 if frequency == "daily" else 7 - day.weekday()
    return f"{frequency}:{day + timedelta(days=step):%Y-%m-%d}", _instant(
        day + timedelta(days=step), zone
    )


def _instant(wall: datetime, zone: tzinfo) -> datetime:
    return wall.replace(tzinfo=zone).astimezone(UTC)
