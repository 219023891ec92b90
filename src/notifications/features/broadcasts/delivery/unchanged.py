"""Locks a broadcast for a decision that was made from a row read before, if that still holds."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from notifications.domain.broadcast_lifecycle import BroadcastStatus
from notifications.domain.errors import Conflict, NotFound
from notifications.models import Broadcast


def lock_unchanged(
    read: Broadcast, *, allowed: Collection[BroadcastStatus], due_at: datetime | None = None
) -> Broadcast:
    """Returns the row as it is now, locked until the transaction ends.

    Args:
        read: the row from which the caller resolved the audience, without a lock.
        allowed: the states that the row may have now.
        due_at: the moment at which its scheduled time must have come; None where that is no matter.

    Raises:
        NotFound: unknown_broadcast.
        Conflict: broadcast_status, where it has another state, a later time or another audience.
    """
    found = Broadcast.objects.select_for_update().filter(pk=read.pk).first()
    if found is None:
        raise NotFound(f"Broadcast {read.pk} not found", code="unknown_broadcast")
    if found.status not in allowed:
        detail = f"Cannot send broadcast with status {found.status}"
        raise Conflict(detail, code="broadcast_status")
    is_due = due_at is None or (found.scheduled_at is not None and found.scheduled_at <= due_at)
    if not is_due or _target(found) != _target(read):
        detail = "Cannot send the broadcast: it was changed at the same moment"
        raise Conflict(detail, code="broadcast_status")
    return found


def _target(row: Broadcast) -> tuple[Any, ...]:
    return row.target_group, row.target_filter, row.list_id
