"""Combines quiet hours and do-not-disturb."""

from __future__ import annotations

from datetime import datetime, time, tzinfo

from directory.moments import clamp_moment
from notifications.domain.quiet_hours import quiet_until


def mute_ends(
    *,
    now: datetime,
    quiet: tuple[time, time] | None,
    dnd_until: datetime | None,
    zone: tzinfo,
    note: str = "",
) -> tuple[datetime | None, str]:
    """Returns when a person can be disturbed again, and the reason; (None, "") when it is now.

    A do-not-disturb that ends within the quiet hours lasts until they end. One that
    ends after all accepted times mutes until the last of them.
    """
    muted = dnd_until is not None and dnd_until > now
    start = clamp_moment(dnd_until) if muted and dnd_until is not None else now
    end = quiet_until(now=start, start=quiet[0], end=quiet[1], zone=zone) if quiet else None
    if muted:
        return clamp_moment(end or start), "do_not_disturb"
    return end, f"quiet_hours{note}" if end else ""
