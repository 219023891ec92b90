"""The named reports, as rows of groups, counts and rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from notifications.domain.analytics.periods import MetricInterval, Period
from notifications.domain.analytics.reports import ReportSpec
from notifications.features.analytics.metrics import rate
from notifications.features.analytics.reading import Counts, Selection, read_counts
from notifications.features.analytics.schemas import ReportRowResponse
from notifications.infra.csv_text import csv_lines
from notifications.models import NotificationTemplate

_LINES = 500


def report_rows(
    spec: ReportSpec, period: Period, *, interval: MetricInterval, only: Mapping[str, Any]
) -> list[ReportRowResponse]:
    """Returns all rows: by the most messages sent, or by time in a series."""
    buckets = period.buckets(interval if spec.in_series else None)
    found = read_counts(Selection(buckets=buckets, by=spec.by, counts=spec.counts, only=only))
    keys = [(number, key) for number, groups in found.items() for key in groups]
    if spec.in_series:
        keys.sort(key=lambda each: (each[0], _shown(each[1])))
    else:
        keys.sort(key=lambda each: (-found[each[0]][each[1]].get("sent", 0), _shown(each[1])))
    paths = _paths(spec, [key for _, key in keys])
    rows = []
    for number, key in keys:
        group = dict(zip(spec.by, _shown(key), strict=True))
        if spec.in_series:
            start = buckets[number].start.astimezone(period.zone)
            group = {"start": start.isoformat(), **group}
        if "template_id" in group:
            group["template"] = paths.get(group["template_id"], "")
        rows.append(_row(spec, group, found[number][key]))
    if not spec.by and not rows:
        rows.append(_row(spec, {}, {}))
    return rows


def _row(spec: ReportSpec, group: dict[str, str], counts: Counts) -> ReportRowResponse:
    sent = counts.get("sent", 0)
    return ReportRowResponse(
        group=group,
        counts={name: counts.get(name, 0) for name in spec.counts},
        rates={name: rate(counts.get(name, 0), sent) for name in spec.rates},
    )


def _shown(key: Sequence[Any]) -> list[str]:
    return [str(value) for value in key]


def _paths(spec: ReportSpec, keys: Sequence[Sequence[Any]]) -> dict[str, str]:
    """Returns the paths of the templates in the rows, by their id as a text."""
    if "template_id" not in spec.by:
        return {}
    place = spec.by.index("template_id")
    rows = NotificationTemplate.objects.filter(pk__in={key[place] for key in keys})
    return {str(key): path for key, path in rows.values_list("pk", "path")}


def report_csv(spec: ReportSpec, rows: Sequence[ReportRowResponse]) -> Iterator[bytes]:
    """Yields a report as CSV: a head line, then a line for each row."""
    groups = ["start"] if spec.in_series else []
    groups += [*spec.by, *(["template"] if "template_id" in spec.by else [])]
    rates = [f"{name}_rate" for name in spec.rates]
    yield csv_lines([[*groups, *spec.counts, *rates]])
    for start in range(0, len(rows), _LINES):
        yield csv_lines(
            [
                [
                    *(row.group[name] for name in groups),
                    *(str(row.counts[name]) for name in spec.counts),
                    *(f"{row.rates[name]:.6f}" for name in spec.rates),
                ]
                for row in rows[start : start + _LINES]
            ]
        )
