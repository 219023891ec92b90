"""What is stored of a series: its steps, and a digest of what an author saw of it."""

from __future__ import annotations

from console.casting.seen import digest_of
from notifications.domain.series.lifecycle import MailSeriesStatus
from notifications.domain.series.steps import SeriesStep
from notifications.features.series.responses import recorded
from notifications.features.series.versions import requested_steps_of
from notifications.models import MailSeries, MailSeriesVersion

_OF_THE_SERVICE = frozenset(
    (
        "status",
        "error",
        "launched_at",
        "ended_at",
        "created_at",
        "approval",
        "approved_by_id",
        "approved_contents",
        "review_note",
        "involved_user_ids",
    )
)
"""Columns that no author writes: a series may pause while its steps are being changed.

Of its state it counts whether it is a draft: after the launch, less may change.
"""


def steps_of(row: MailSeries) -> list[SeriesStep]:
    """Returns the steps that wait for approval, else those that people enter now."""
    requested = requested_steps_of([row]).get(row.pk)
    if requested is not None:
        return list(requested)
    return list(MailSeriesVersion.objects.get(series=row, number=row.version).read_steps())


def seen_of_series(row: MailSeries) -> str:
    """Returns a digest of what an author writes of a series."""
    found = recorded(row, steps_of(row))
    written = [found[name] for name in sorted(found) if name not in _OF_THE_SERVICE]
    return digest_of([row.status == MailSeriesStatus.DRAFT, written])
