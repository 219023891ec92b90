"""Writes an entry of the audit log for each change of a broadcast."""

from __future__ import annotations

from datetime import datetime

from notifications.domain.callers import Caller
from notifications.models import Broadcast
from notifications.models.audit.actions import Values, record_action, values_of

NOT_RECORDED = ("error_log", "error_reasons", "updated_at")
"""Columns that delivery writes."""


def write_audit_entry(
    caller: Caller,
    action: str,
    broadcast: Broadcast,
    *,
    now: datetime,
    reason: str = "",
    before: Values = None,
) -> None:
    """Writes who did what to a broadcast, in the transaction of the change."""
    record_action(
        actor=caller.name,
        action=f"broadcast.{action}",
        target=str(broadcast.pk),
        reason=reason,
        at=now,
        before=before,
        after=None if action == "delete" else values_of(broadcast, without=NOT_RECORDED),
    )
