"""The lifecycle of a campaign: its states, one table of transitions, its approval and holdout."""

from __future__ import annotations

import hashlib
from enum import StrEnum


class CampaignStatus(StrEnum):
    """How far a campaign has come."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    #: Every message was handed over; receipts and engagement may still come.
    COMPLETED = "completed"
    CANCELLED = "cancelled"


_S = CampaignStatus

TRANSITIONS: dict[CampaignStatus, frozenset[CampaignStatus]] = {
    _S.DRAFT: frozenset({_S.SCHEDULED, _S.RUNNING, _S.CANCELLED}),
    _S.SCHEDULED: frozenset({_S.DRAFT, _S.RUNNING, _S.CANCELLED}),
    _S.RUNNING: frozenset({_S.PAUSED, _S.COMPLETED, _S.CANCELLED}),
    _S.PAUSED: frozenset({_S.RUNNING, _S.CANCELLED}),
    _S.COMPLETED: frozenset(),
    _S.CANCELLED: frozenset(),
}
"""The states that may follow each one."""

EDITABLE = frozenset({_S.DRAFT, _S.SCHEDULED})


class CampaignApproval(StrEnum):
    """Whether a second person released a campaign."""

    #: No one was asked. A campaign that needs no approval stays so.
    NONE = "none"
    REQUESTED = "requested"
    APPROVED = "approved"
    REJECTED = "rejected"


def may_become(current: str, target: CampaignStatus) -> bool:
    """Returns whether the table allows `current` -> `target`."""
    return target in TRANSITIONS[CampaignStatus(current)]


_DRAWS = 1 << 64


def is_held_out(campaign: str, user_id: int, percent: float) -> bool:
    """Returns whether a person is in the holdout of a campaign and gets nothing.

    The answer is computed from a hash: it is always the same for the same campaign and person,
    independent between campaigns, and a larger percentage keeps all who were held out.

    Args:
        campaign: the UUID of the campaign, as text.
        percent: from 0 to 100.
    """
    digest = hashlib.sha256(f"holdout:{campaign}:{user_id}".encode()).digest()
    return int.from_bytes(digest[:8]) * 100 < percent * _DRAWS
