"""Writes an entry of the audit log for each change of a series."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from notifications.domain.callers import Caller
from notifications.domain.series.steps import SeriesStep
from notifications.features.series.versions import requested_steps_of
from notifications.models import MailSeries
from notifications.models.audit.actions import Values, record_action, values_of

NOT_RECORDED = ("updated_at", "scan_at", "scanned_day", "scanned_after", "cleared")
"""Columns that rounds write."""


def recorded(series: MailSeries, steps: Sequence[SeriesStep]) -> dict[str, Any]:
    """Returns the values of a series that an entry shows, with its steps and requested ones."""
    found = dict(values_of(series, without=NOT_RECORDED) or {})
    requested = requested_steps_of([series]).get(series.pk, ())
    for name, these in (("steps", steps), ("requested_steps", requested)):
        found[name] = [step.stored() for step in these]
    return found


def write_audit_entry(
    caller: Caller,
    action: str,
    series: MailSeries,
    *,
    now: datetime,
    before: Values = None,
    after: Values = None,
) -> None:
    """Writes who did what to a series, in the transaction of the change."""
    record_action(
        actor=caller.name,
        action=f"series.{action}",
        target=f"series:{series.uuid}",
        at=now,
        before=before,
        after=after,
    )
