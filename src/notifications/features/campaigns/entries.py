"""Writes an entry of the audit log for each change of a campaign."""

from __future__ import annotations

from datetime import datetime

from notifications.domain.callers import Caller
from notifications.models import Campaign
from notifications.models.audit.actions import Values, record_action, values_of

NOT_RECORDED = ("updated_at", "placed_after", "segment_criteria", "throttled_until")
"""Columns that placing and sending write, and criteria that the segments' own entries show."""


def recorded(campaign: Campaign) -> Values:
    """Returns the values of a campaign that an entry shows."""
    return values_of(campaign, without=NOT_RECORDED)


def write_audit_entry(
    caller: Caller,
    action: str,
    campaign: Campaign,
    *,
    now: datetime,
    reason: str = "",
    before: Values = None,
) -> None:
    """Writes who did what to a campaign, in the transaction of the change."""
    record_action(
        actor=caller.name,
        action=f"campaign.{action}",
        target=f"campaign:{campaign.uuid}",
        reason=reason,
        at=now,
        before=before,
        after=None if action == "delete" else recorded(campaign),
    )
