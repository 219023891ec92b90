"""The rows of a report for the page: names, counts, bars, and links to the notifications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from django.utils.formats import date_format

from console import words
from console.analytics.filters import AnalyticsQuery
from console.analytics.names import COUNT_NAMES, GROUP_NAMES
from console.shell import url_with
from notifications.domain.analytics.reports import ReportSpec
from notifications.features.analytics.schemas import ReportRowResponse

NOTIFICATIONS = "/console/notifications"
STATES = frozenset(
    {"delivered", "failed", "suppressed", "cancelled", "expired", "digested", "uncertain"}
)
"""The counts that are states of notifications, too: the list filters by them."""


class ReportCell(NamedTuple):
    """A count of a row."""

    name: str
    number: int
    #: In per cent of the messages sent; None where the report has no such rate.
    share: float | None
    #: The width of the bar, 0 to 100.
    width: int
    link: str


class ShownRow(NamedTuple):
    """A row of a report."""

    #: The name of a column, and the text in it.
    titles: Sequence[tuple[str, str]]
    link: str
    cells: Sequence[ReportCell]
    #: Error codes, as `timeout: 3`.
    codes: str


class NotificationLinks:
    """Makes links to the list of notifications, where its filters can say what a row counts."""

    def __init__(
        self,
        asked: AnalyticsQuery,
        sources: Sequence[str],
        span: tuple[datetime, datetime],
        *,
        allowed: bool,
    ) -> None:
        self._asked = asked
        self._source = sources[0] if len(sources) == 1 else ""
        self._span = span
        # The list has one source at a time, and a campaign may have many.
        self._is_possible = allowed and len(sources) <= 1

    def to(
        self,
        *,
        group: Mapping[str, str] | None = None,
        state: str = "",
        span: tuple[datetime, datetime] | None = None,
    ) -> str:
        """Returns a link; empty where the list has no such filter."""
        row = group or {}
        has_template = "template_id" not in row or bool(row.get("template"))
        if not self._is_possible or "provider" in row or not has_template:
            return ""
        start, end = span or self._span
        return url_with(
            NOTIFICATIONS,
            status=state,
            channel=row.get("channel", "") or self._asked.channel,
            template=row.get("template", "") or self._asked.template,
            source=self._source,
            **{"from": start.isoformat(), "to": end.isoformat()},
        )


def columns_of(spec: ReportSpec) -> tuple[list[str], list[str]]:
    """Returns the names of the columns before the counts, and of the counts."""
    groups = [str(GROUP_NAMES[name]) for name in _shown(spec)]
    return groups, [str(COUNT_NAMES[name]) for name in spec.counts]


def shown_rows(
    spec: ReportSpec,
    rows: Sequence[ReportRowResponse],
    links: NotificationLinks,
    *,
    ends: Mapping[datetime, datetime],
) -> list[ShownRow]:
    """Returns rows for the page. ends: those of the intervals of a series, by their starts."""
    return [_row(spec, each, links, ends) for each in rows]


def _row(
    spec: ReportSpec,
    row: ReportRowResponse,
    links: NotificationLinks,
    ends: Mapping[datetime, datetime],
) -> ShownRow:
    span = None
    if spec.in_series:
        start = datetime.fromisoformat(row.group["start"])
        span = (start, ends[start])
    titles = [
        (str(GROUP_NAMES[name]), _title(name, row.group.get(name, ""))) for name in _shown(spec)
    ]
    cells = [_cell(name, row, links, span) for name in spec.counts]
    codes = ", ".join(f"{words.reason(code)}: {count}" for code, count in (row.codes or {}).items())
    return ShownRow(titles, links.to(group=row.group, span=span), cells, codes)


def _shown(spec: ReportSpec) -> list[str]:
    names = ["template" if name == "template_id" else name for name in spec.by]
    return ["start", *names] if spec.in_series else names


def _cell(
    name: str,
    row: ReportRowResponse,
    links: NotificationLinks,
    span: tuple[datetime, datetime] | None,
) -> ReportCell:
    share = row.rates.get(name)
    link = links.to(group=row.group, state=name, span=span) if name in STATES else ""
    return ReportCell(
        name=str(COUNT_NAMES[name]),
        number=row.counts[name],
        share=share,
        width=min(100, round(100 * share)) if share is not None else 0,
        link=link if row.counts[name] else "",
    )


def _title(name: str, value: str) -> str:
    if name == "start":
        return date_format(datetime.fromisoformat(value), "j M, H:i")
    return words.channel(value) if name == "channel" else value or "-"
