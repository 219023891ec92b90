"""The versions of the steps of a series: the one that people enter, earlier ones, a requested one.

A requested version is the one after the current one. No one enters it before it is approved.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Min

from notifications.domain.series.steps import SeriesStep
from notifications.features.templates.rows import published_versions
from notifications.models import (
    MailSeries,
    MailSeriesVersion,
    SeriesEnrollment,
)

Steps = Sequence[SeriesStep]


def steps_of(rows: Sequence[MailSeries]) -> dict[int, Steps]:
    """Returns the steps that people enter now, by the key of a series."""
    return _numbered({row.pk: row.version for row in rows})


def requested_steps_of(rows: Sequence[MailSeries]) -> dict[int, Steps]:
    """Returns the steps that wait for approval, by the key of each series that has such ones."""
    waiting = [row for row in rows if row.requested]
    return _numbered({row.pk: row.version + 1 for row in waiting}) if waiting else {}


def _numbered(numbers: dict[int, int]) -> dict[int, Steps]:
    versions = MailSeriesVersion.objects.filter(
        series_id__in=list(numbers), number__in=set(numbers.values())
    )
    return {
        each.series_id: each.read_steps()
        for each in versions
        if each.number == numbers[each.series_id]
    }


def write_version(row: MailSeries, number: int, steps: Steps, *, now: datetime) -> None:
    """Writes the steps of a new version, or replaces those of a draft or of a requested one."""
    MailSeriesVersion.objects.update_or_create(
        series=row,
        number=number,
        defaults={"steps": [step.stored() for step in steps], "created_at": now},
    )


def drop_requested_version(row: MailSeries) -> None:
    """Deletes the steps that wait for approval, if there are such ones."""
    MailSeriesVersion.objects.filter(series=row, number__gt=row.version).delete()


def versions_in_use(row: MailSeries) -> list[tuple[Steps, int]]:
    """Returns the steps of each version that people enter or wait in, and the first one they get.

    Of an earlier version, the steps that all have passed are not sent any more.
    """
    waiting = SeriesEnrollment.objects.filter(series=row, due_at__isnull=False).order_by()
    places = waiting.values_list("version").annotate(first=Min("position"))
    first = {**dict(places), row.version: 0}
    versions = MailSeriesVersion.objects.filter(series=row, number__in=list(first))
    return [(each.read_steps(), first[each.number]) for each in versions.order_by("number")]


def texts_of(row: MailSeries) -> tuple[list[Any], list[tuple[int, int | None]]]:
    """Returns the steps that are sent or requested, and the versions of the templates they show."""
    shown = [steps[first:] for steps, first in versions_in_use(row)]
    shown += requested_steps_of([row]).values()
    steps = [[step.stored() for step in each] for each in shown]
    paths = {step.template_path for each in shown for step in each}
    return steps, published_versions(paths)
