"""Builds the response that shows a series."""

from __future__ import annotations

from collections.abc import Sequence

from notifications.domain.series.steps import SeriesStep
from notifications.features.series.schemas import (
    MailSeriesResponse,
    SeriesStepResponse,
    SeriesTriggerResponse,
)
from notifications.models import MailSeries

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
    )
