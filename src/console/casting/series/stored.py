"""What is stored of a series: its steps, and digests of what a visitor saw of it."""

from __future__ import annotations

from collections.abc import Sequence

from console.casting.seen import digest_of
from notifications.domain.series.lifecycle import MailSeriesStatus
from notifications.domain.series.steps import SeriesStep
from notifications.features.series.entries import recorded
from notifications.models import MailSeries, MailSeriesVersion, NotificationTemplate
from notifications.rendering.paths import candidates

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
    return digest_of([seen_of_series(row), _versions(steps_of(row))])


def _versions(steps: Sequence[SeriesStep]) -> list[tuple[int, int | None]]:
    """Returns the id and the published version of each template that a step may show."""
    paths = sorted({each for step in steps for each in candidates(step.template_path)})
    rows = NotificationTemplate.objects.filter(path__in=paths).order_by("pk")
    return list(rows.values_list("pk", "current_version_id"))
