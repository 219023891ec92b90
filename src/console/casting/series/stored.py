"""What is stored of a series: its steps, and digests of what a visitor saw of it."""

from __future__ import annotations

from console.casting.seen import digest_of
from notifications.domain.series.lifecycle import MailSeriesStatus
from notifications.domain.series.steps import SeriesStep
from notifications.features.campaigns.contents import published_versions
from notifications.features.series.entries import recorded
from notifications.models import MailSeries, MailSeriesVersion

_OF_THE_SERVICE = ("status", "error", "launched_at", "ended_at", "created_at")
"""Columns that no author writes: a series may pause while its steps are being changed.

Of its state it counts whether it is a draft: after the launch, less may change.
"""


def steps_of(row: MailSeries) -> list[SeriesStep]:
    """Returns the steps that people enter now. Makes one query."""
    return list(MailSeriesVersion.objects.get(series=row, number=row.version).read_steps())


def seen_of_series(row: MailSeries) -> str:
    """Returns a digest of what an author writes of a series. Makes one query."""
    found = recorded(row, steps_of(row))
    written = [found[name] for name in sorted(found) if name not in _OF_THE_SERVICE]
    return digest_of([row.status == MailSeriesStatus.DRAFT, written])


def shown_of_series(row: MailSeries) -> str:
    """Returns a digest of a series and of the texts of its templates. Makes three queries."""
    paths = [step.template_path for step in steps_of(row)]
    return digest_of([seen_of_series(row), published_versions(paths)])
