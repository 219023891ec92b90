"""Four eyes: what is told to very many people, somebody other than its author has seen."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from notifications.domain.broadcast_lifecycle import BroadcastStatus
from notifications.features.broadcasts.delivery.launch import audience_of
from notifications.infra.conf import environment
from notifications.models import Broadcast, change_broadcast_status

_S = BroadcastStatus
GROWTH = 1.1
"""Of an audience since it was approved; beyond it somebody is asked again."""


def requires_approval(broadcast: Broadcast, *, now: datetime) -> bool:
    """Whether a second person must still agree to so many recipients.

    Raises:
        InvalidRequest: what the audience names is gone.
    """
    limit = environment().broadcast_approval_threshold
    if not limit:
        return False
    if broadcast.approved_by_id is not None:
        if broadcast.approved_count is None:
            return False
        limit = max(limit, int(broadcast.approved_count * GROWTH))
    return audience_of(broadcast, now=now).count() > limit


def request_approval(broadcast_id: int, values: dict[str, Any]) -> bool:
    """Has a draft or scheduled broadcast wait for it; False when it is neither (any more). The
    caller is in a transaction."""
    sources = frozenset({_S.DRAFT, _S.SCHEDULED})
    return change_broadcast_status(
        broadcast_id, _S.AWAITING_APPROVAL, values=values, only_from=sources
    )
