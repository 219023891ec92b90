"""What is stored of a series: its steps, and digests of what an author and a reviewer saw of it."""

from __future__ import annotations

from collections.abc import Sequence

from console.casting.seen import digest_of
from notifications.domain.series.lifecycle import MailSeriesStatus
from notifications.domain.series.steps import SeriesStep
from notifications.features.series.responses import recorded
from notifications.features.series.versions import requested_steps_of, steps_of, texts_of
from notifications.models import MailSeries

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


def written_steps(row: MailSeries) -> Sequence[SeriesStep]:
    """Returns the steps that wait for approval, else those that people enter now."""
    return requested_steps_of([row]).get(row.pk) or steps_of([row])[row.pk]


def seen_of_series(row: MailSeries) -> str:
    """Returns a digest of what an author writes of a series."""
    found = recorded(row, written_steps(row))
    written = [found[name] for name in sorted(found) if name not in _OF_THE_SERVICE]
    return digest_of([row.status == MailSeriesStatus.DRAFT, written])


def shown_of_series(row: MailSeries) -> str:
    """Returns a digest of a series, of all its steps and of the texts of its templates."""
    return digest_of([seen_of_series(row), texts_of(row)])
