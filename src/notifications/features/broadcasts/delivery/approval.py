"""Approval: a broadcast to very many people is released by a second person."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from notifications.domain.broadcast_lifecycle import BroadcastStatus
from notifications.features.broadcasts.delivery.launch import resolve_audience
from notifications.infra.conf import environment
from notifications.models import Broadcast, change_broadcast_status

_S = BroadcastStatus
GROWTH = 1.1
"""An approved audience may grow by this factor; beyond it, another approval is required."""


def requires_approval(broadcast: Broadcast, *, now: datetime) -> bool:
    """Returns whether a second person must still approve so many recipients.

    A broadcast of a campaign needs none: the campaign does.

    Raises:
        InvalidRequest: the audience names something that does not exist any more.
    """
    limit = environment().broadcast_approval_threshold
    if not limit or broadcast.campaign_id is not None:
        return False
    if broadcast.approved_by_id is not None:
        if broadcast.approved_count is None:
            return False
        limit = max(limit, int(broadcast.approved_count * GROWTH))
    return resolve_audience(broadcast, now=now).count() > limit


def request_approval(broadcast_id: int, values: dict[str, Any]) -> bool:
    """Moves a draft or scheduled broadcast to awaiting_approval; False where it is neither.

    The caller is in a transaction.
    """
    sources = frozenset({_S.DRAFT, _S.SCHEDULED})
    return change_broadcast_status(
        broadcast_id, _S.AWAITING_APPROVAL, values=values, only_from=sources
    )
