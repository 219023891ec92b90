"""The pace of a broadcast: how many recipients get their messages now, and when the next do."""

from __future__ import annotations

from datetime import datetime, timedelta

from notifications.models import Broadcast

_PARTS_A_MINUTE = 12
_CATCHES_UP = timedelta(seconds=10)
"""A part that is created so late at most does not delay the parts after it."""


def next_part(broadcast: Broadcast, size: int, *, now: datetime) -> tuple[int, datetime | None]:
    """Returns how many recipients the next part has, and until when there is no part after it.

    0 recipients: it is not time yet. Without a limit of the broadcast a part has `size` recipients.
    The caller has locked the launch.
    """
    per_minute, until = broadcast.per_minute, broadcast.throttled_until
    if per_minute is None:
        return size, None
    if until is not None and now < until:
        return 0, until
    part = max(1, min(size, per_minute // _PARTS_A_MINUTE))
    begin = until if until is not None and now - until < _CATCHES_UP else now
    return part, begin + timedelta(minutes=part / per_minute)
