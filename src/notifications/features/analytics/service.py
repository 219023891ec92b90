"""Analytics, as the API calls them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from notifications.domain.analytics.periods import MetricInterval, Period, period_of
from notifications.domain.analytics.reports import REPORTS
from notifications.domain.callers import Caller
from notifications.features.access.service import require_scope
from notifications.features.analytics.metrics import metrics_of, period_response
from notifications.features.analytics.reading import Counts, Selection, read_counts
from notifications.features.analytics.reports import ReportRows, read_report, report_csv
from notifications.features.analytics.schemas import MetricsResponse, PeriodResponse

READ = "analytics:read"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricFilter:
    """Which messages are counted: those of a range, and of what else is given."""

    #: Dates, of which the last is included, or times (RFC 3339).
    start: str
    end: str
    zone: str = "UTC"
    channel: str = ""
    #: 0 for all.
    template_id: int = 0
    #: The source of the notifications, e.g. `broadcast:12`.
    source: str = ""
    #: Any of these sources, instead of one; empty for all.
    sources: tuple[str, ...] = ()

    @property
    def period(self) -> Period:
        """The range. Raises InvalidRequest."""
        return period_of(self.start, self.end, self.zone)

    @property
    def only(self) -> dict[str, Any]:
        """The other conditions, by column."""
        source = self.sources or self.source
        given = {"channel": self.channel, "template_id": self.template_id, "source": source}
        return {name: value for name, value in given.items() if value}


class AnalyticsService:
    """Metrics and reports. They show counts, and no people."""

    def metrics(
        self, *, wanted: MetricFilter, interval: str = "", caller: Caller
    ) -> MetricsResponse:
        """Returns the metrics of a range.

        Raises:
            InvalidRequest: the range or the zone is invalid, or the series would be too long.
            Refused: missing_scope.
        """
        require_scope(caller, READ)
        length = MetricInterval(interval) if interval else None
        return metrics_of(wanted.period, interval=length, only=wanted.only)

    def series(
        self, *, wanted: MetricFilter, interval: str, counts: Sequence[str], caller: Caller
    ) -> list[tuple[datetime, Counts]]:
        """Returns some counts of each interval of a range, with the instant at which it begins.

        Raises:
            InvalidRequest: as `metrics`. Refused: missing_scope.
        """
        require_scope(caller, READ)
        buckets = wanted.period.buckets(MetricInterval(interval))
        chosen = Selection(buckets=buckets, by=(), counts=tuple(counts), only=wanted.only)
        found = read_counts(chosen)
        return [
            (bucket.start, {**dict.fromkeys(counts, 0), **found.get(number, {}).get((), {})})
            for number, bucket in enumerate(buckets)
        ]

    def report(
        self, *, name: str, wanted: MetricFilter, interval: str = "day", caller: Caller
    ) -> tuple[PeriodResponse, ReportRows]:
        """Returns the range and all rows of a named report.

        Raises:
            InvalidRequest: as `metrics`. Refused: missing_scope.
        """
        require_scope(caller, READ)
        period = wanted.period
        found = read_report(
            REPORTS[name], period, interval=MetricInterval(interval or "day"), only=wanted.only
        )
        return period_response(period), found

    def report_as_csv(
        self, *, name: str, wanted: MetricFilter, interval: str = "day", caller: Caller
    ) -> Iterator[bytes]:
        """Returns the same as CSV."""
        _, found = self.report(name=name, wanted=wanted, interval=interval, caller=caller)
        return report_csv(REPORTS[name], found.rows)
