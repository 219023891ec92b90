"""Pages of the people in a series, and its counts."""

from __future__ import annotations

from collections import Counter, defaultdict
from heapq import merge
from itertools import islice

from django.db.models import Count

from notifications.domain.series.lifecycle import EnrollmentState
from notifications.features.series.learned import effects_of_steps
from notifications.features.series.report_schemas import (
    SeriesEnrollmentResponse,
    SeriesReportResponse,
    SeriesStepCounts,
)
from notifications.infra import clock
from notifications.models import (
    MailSeries,
    MailSeriesVersion,
    SeriesEnrollment,
    SeriesStepCount,
)


def enrollments_of(
    series: MailSeries, *, state: str = "", after: int = 0, limit: int = 50
) -> list[SeriesEnrollmentResponse]:
    """Returns people above the row `after`, in the order in which they entered.

    state: only those of one state; empty for all.
    """
    pages = []
    for each in [state] if state else [str(known) for known in EnrollmentState]:
        rows = SeriesEnrollment.objects.filter(series=series, state=each, pk__gt=after)
        pages.append(rows.order_by("pk")[:limit])  # by the index of each state
    found = merge(*pages, key=lambda row: row.pk)
    return [_response(row) for row in islice(found, limit)]


def _response(row: SeriesEnrollment) -> SeriesEnrollmentResponse:
    return SeriesEnrollmentResponse(
        key=row.pk,
        user_id=row.user_id,
        entry=row.entry,
        version=row.version,
        state=row.state,
        step=row.position + 1,
        due_at=row.due_at,
        reason=row.reason,
        entered_at=row.entered_at,
        ended_at=row.ended_at,
    )


def series_report(series: MailSeries) -> SeriesReportResponse:
    """Returns how many people are where. Mails and exits of erased people still count."""
    rows = SeriesEnrollment.objects.filter(series=series)
    states = dict(rows.order_by("state").values_list("state").annotate(number=Count("pk")))
    waiting = {
        (version, position): number
        for version, position, number in rows.filter(due_at__isnull=False)
        .order_by("version", "position")
        .values_list("version", "position")
        .annotate(number=Count("pk"))
    }
    results: dict[tuple[int, int], Counter[str]] = defaultdict(Counter)
    for count in SeriesStepCount.objects.filter(series=series):
        results[count.version, count.position][count.result] += count.number
    rows_of_steps = MailSeriesVersion.objects.filter(series=series, number__lte=series.version)
    versions = list(rows_of_steps.order_by("number"))
    effects = effects_of_steps(series, versions, waiting, now=clock.now())
    return SeriesReportResponse(
        id=series.uuid,
        status=series.status,
        waiting=states.get(EnrollmentState.WAITING, 0),
        completed=states.get(EnrollmentState.COMPLETED, 0),
        exited=states.get(EnrollmentState.EXITED, 0),
        held_out=states.get(EnrollmentState.HELD_OUT, 0),
        steps=[
            SeriesStepCounts(
                version=version.number,
                step=position + 1,
                template_path=step.template_path,
                sent=results[version.number, position][SeriesStepCount.SENT],
                waiting=waiting.get((version.number, position), 0),
                exited={
                    name: number
                    for name, number in sorted(results[version.number, position].items())
                    if name != SeriesStepCount.SENT
                },
                learning=effects.get((version.number, position)),
            )
            for version in versions
            for position, step in enumerate(version.read_steps())
        ],
    )
