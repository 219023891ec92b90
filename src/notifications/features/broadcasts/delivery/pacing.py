"""The pace of a broadcast: how many recipients get their messages now, and when the next do.

A limit of a campaign is one for all its broadcasts together. The campaign has the time of the next
part, and its lock is held until the part is committed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from notifications.models import Broadcast, Campaign

_PARTS_A_MINUTE = 12
_CATCHES_UP = timedelta(seconds=10)
"""A part that is created so late at most does not delay the parts after it."""


@dataclass(frozen=True, slots=True)
class PacedPart:
    """The next part of a broadcast. size: 0 where it is not time yet.

    begins_at: from when its share of a minute counts; None without a limit.
    """

    size: int
    begins_at: datetime | None = None


def next_part(broadcast: Broadcast, size: int, *, now: datetime) -> PacedPart:
    """Returns the next part, of `size` recipients at most. The caller has locked the launch.

    Where another broadcast of the campaign creates a part, or a person's action has the lock of
    the campaign, it is not time yet. Waiting for that lock could end in a deadlock: an action
    locks the campaign first, and its broadcasts then.
    """
    if broadcast.per_minute is None:
        return PacedPart(size)
    until = broadcast.throttled_until
    if broadcast.campaign_id is not None:
        rows = Campaign.objects.select_for_update(of=("self",), skip_locked=True)
        campaign = rows.only("throttled_until").filter(pk=broadcast.campaign_id).first()
        if campaign is None:
            return PacedPart(0)
        until = campaign.throttled_until
    if until is not None and now < until:
        return PacedPart(0)
    part = max(1, min(size, broadcast.per_minute // _PARTS_A_MINUTE))
    return PacedPart(part, until if until is not None and now - until < _CATCHES_UP else now)


def paced_until(broadcast: Broadcast, part: PacedPart, used: int) -> datetime | None:
    """Stores that a part had so many recipients; returns until when there is no part after it.

    The caller has the locks of `next_part`.
    """
    if part.begins_at is None or not broadcast.per_minute:
        return None
    until = part.begins_at + timedelta(minutes=used / broadcast.per_minute)
    if broadcast.campaign_id is not None:
        Campaign.objects.filter(pk=broadcast.campaign_id).update(throttled_until=until)
    return until
