"""The named reports, as rows of groups, counts and rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from notifications.domain.analytics.periods import MetricInterval, Period
from notifications.domain.analytics.reports import ReportSpec
from notifications.features.analytics.failure_codes import FailureCodes, read_failure_codes
from notifications.features.analytics.metrics import rate
from notifications.features.analytics.reading import Counts, Selection, read_counts
from notifications.features.analytics.schemas import ReportRowResponse
from notifications.infra.csv_text import csv_lines
from notifications.models import NotificationTemplate

_LINES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRows:
    """All rows of a report."""

    rows: Sequence[ReportRowResponse]
    #: From when on error codes are counted; None for the whole range.
    codes_since: datetime | None


def read_report(
    spec: ReportSpec, period: Period, *, interval: MetricInterval, only: Mapping[str, Any]
) -> ReportRows:
    """Returns all rows: by the most messages sent, or by time in a series."""
    buckets = period.buckets(interval if spec.in_series else None)
    if spec.variants:
        only = {**only, "variant": spec.variants}
    found = read_counts(Selection(buckets=buckets, by=spec.by, counts=spec.counts, only=only))
    codes = read_failure_codes(period.span, only) if spec.has_codes else FailureCodes()
    for key in codes.by_group:
        found.setdefault(0, {}).setdefault(key, {})
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
        row = _row(spec, group, found[number][key])
        if spec.has_codes:
            row.codes = dict(codes.by_group.get(key, {}))
        rows.append(row)
    if not spec.by and not rows:
        rows.append(_row(spec, {}, {}))
    return ReportRows(rows=rows, codes_since=codes.since)


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
    codes = ["codes"] if spec.has_codes else []
    yield csv_lines([[*groups, *spec.counts, *rates, *codes]])
    for start in range(0, len(rows), _LINES):
        yield csv_lines(
            [
                [
                    *(row.group[name] for name in groups),
                    *(str(row.counts[name]) for name in spec.counts),
                    *(f"{row.rates[name]:.6f}" for name in spec.rates),
                    *([_codes_text(row)] if spec.has_codes else []),
                ]
                for row in rows[start : start + _LINES]
            ]
        )


def _codes_text(row: ReportRowResponse) -> str:
    return ", ".join(f"{code}: {number}" for code, number in (row.codes or {}).items())
