"""Shows a series: in responses, and in the entries of the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from notifications.domain.callers import Caller
from notifications.domain.series.steps import SeriesStep
from notifications.features.learning.options import LEARNED, SCHEDULED
from notifications.features.series.schemas import (
    MailSeriesResponse,
    SeriesStepResponse,
    SeriesTriggerResponse,
)
from notifications.features.series.versions import requested_steps_of
from notifications.models import MailSeries
from notifications.models.audit.actions import Values, record_action, values_of

_SAME = (
    "name",
    "description",
    "status",
    "approval",
    "needs_approval",
    "review_note",
    "version",
    "category",
    "context",
    "holdout_percent",
    "reentry_days",
    "track_opens",
    "track_clicks",
    "error",
    "created_at",
    "updated_at",
    "launched_at",
    "ended_at",
)
"""Columns that responses show under the same names."""


def series_response(
    row: MailSeries, steps: Sequence[SeriesStep], requested: Sequence[SeriesStep] | None = None
) -> MailSeriesResponse:
    """Returns a series as responses show it.

    steps: those that people enter now. requested: those that wait for approval, if there are any.
    """
    return MailSeriesResponse(
        id=row.uuid,
        key=row.pk,
        trigger=SeriesTriggerResponse(
            on=row.trigger,
            list_id=row.list_id,
            event=row.event,
            attribute=row.attribute,
            offset_days=row.offset_days,
        ),
        steps=[_step(step) for step in steps],
        requested_steps=None if requested is None else [_step(step) for step in requested],
        goal=row.goal.name if row.goal else None,
        created_by=row.created_by_id,
        approved_by=row.approved_by_id,
        **{name: getattr(row, name) for name in _SAME},
    )


def _step(step: SeriesStep) -> SeriesStepResponse:
    return SeriesStepResponse(
        template_path=step.template_path,
        wait_days=step.wait_days,
        wait_minutes=step.wait_minutes,
        at=step.at.isoformat("minutes") if step.at else None,
        send_time=LEARNED if step.learns else SCHEDULED,
        send_window_hours=step.window_hours,
        send_at_night=step.at_night,
        learning_holdout_percent=step.learning_holdout_percent,
    )


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
