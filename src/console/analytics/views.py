"""The page of reports: a picture of the range, the rows of one report, and the same as CSV."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.http import HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from console.analytics.filters import (
    MOST_SOURCES,
    AnalyticsQuery,
    asked_of,
    has_more_sources,
    interval_of,
    metric_filter,
    picture_interval,
    today_of,
)
from console.analytics.names import COUNT_NAMES, INTERVAL_NAMES, REPORT_NAMES
from console.analytics.tables import NotificationLinks, ShownRow, columns_of, shown_rows
from console.faults import said
from console.guard import Visit, may_open
from console.paging import PAGE_ROWS, PageLinks, after_of, page_links
from console.shell import page, url_with
from notifications.domain.analytics.periods import MetricInterval
from notifications.domain.analytics.reports import REPORTS
from notifications.domain.channels import Channel
from notifications.domain.errors import CarillonError
from notifications.features.analytics.service import AnalyticsService, MetricFilter
from notifications.models import Campaign

PATH = "/console/analytics"
MOST_CAMPAIGNS = 50
"""The newest campaigns, of which the form offers one."""
PICTURE = ("sent", "delivered", "failed", "opened_human", "opened_machine")
_TONES = ("accent", "good", "bad", "waiting", "waiting:dashed")
"""The colours of the lines; machines are dashed in the colour of people."""
_RANGES = (1, 7, 30, 90, 365)


class Moment(NamedTuple):
    """A point of the picture, as a row of its table."""

    start: datetime
    counts: Sequence[int]
    link: str

    @property
    def shown(self) -> str:
        """The time in the zone of the range."""
        return date_format(self.start, "j M Y, H:i")

    @property
    def labelled(self) -> list[tuple[str, int]]:
        """The counts with their names."""
        return [(str(COUNT_NAMES[each]), n) for each, n in zip(PICTURE, self.counts, strict=True)]


class Figures(NamedTuple):
    """What the page shows of a range."""

    rows: Sequence[ShownRow]
    following: int | None
    #: On the first page alone.
    moments: Sequence[Moment]
    codes_since: datetime | None


def analytics(visit: Visit) -> HttpResponse:
    """Shows one report of a range, with a picture of the range."""
    asked = asked_of(visit)
    fault, found = "", Figures([], None, [], None)
    try:
        found = _figures(visit, asked)
    except CarillonError as error:
        fault = said(error)
    groups, counts = columns_of(REPORTS[asked.report])
    context: dict[str, Any] = {
        "asked": asked,
        "fault": fault,
        "reports": _links(asked, "report", REPORT_NAMES),
        "ranges": _ranges(visit, asked),
        "channels": list(Channel),
        "campaigns": _campaigns(visit, asked),
        "intervals": INTERVAL_NAMES.items(),
        "name": REPORT_NAMES[asked.report],
        "groups": groups,
        "counts": counts,
        "has_codes": REPORTS[asked.report].has_codes,
        "found": found,
        "most_sources": MOST_SOURCES if has_more_sources(asked.campaign) else 0,
        "picture": [COUNT_NAMES[name] for name in PICTURE],
        "series": json.dumps(_series(found.moments)) if found.moments else "",
        "tones": " ".join(_TONES),
        "points": json.dumps([each.link for each in found.moments]),
        "csv": url_with(f"{PATH}/csv", **asked.query),
        "links": _pages(visit, asked, found.following),
    }
    status = 400 if fault else 200
    return page(visit, "analytics/analytics.html", context, section="analytics", status=status)


def as_csv(visit: Visit) -> StreamingHttpResponse | HttpResponse:
    """Returns the rows of a report as CSV; a query that is refused leads back to the page."""
    asked = asked_of(visit)
    try:
        wanted = metric_filter(asked)
        period = wanted.period
        parts = AnalyticsService().report_as_csv(
            name=asked.report,
            wanted=wanted,
            interval=interval_of(asked, period.first, period.last),
            caller=visit.caller,
        )
    except CarillonError:  # the page says why
        return HttpResponseRedirect(url_with(PATH, **asked.query))
    return StreamingHttpResponse(
        parts,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{asked.report}.csv"'},
    )


def _figures(visit: Visit, asked: AnalyticsQuery) -> Figures:
    """Reads the report and the picture.

    Raises:
        CarillonError: the range, the zone or the template is refused.
    """
    wanted = metric_filter(asked)
    period = wanted.period
    interval = interval_of(asked, period.first, period.last)
    spec = REPORTS[asked.report]
    _range, report = AnalyticsService().report(
        name=asked.report, wanted=wanted, interval=interval, caller=visit.caller
    )
    links = NotificationLinks(
        asked,
        wanted.sources,
        (period.span.start, period.span.end),
        allowed=may_open(visit, "console/notifications"),
    )
    buckets = period.buckets(interval if spec.in_series else None)
    ends = {bucket.start: bucket.end for bucket in buckets}
    start = after_of(visit)
    end = start + PAGE_ROWS
    rows = shown_rows(spec, report.rows[start:end], links, ends=ends)
    return Figures(
        rows=rows,
        following=end if end < len(report.rows) else None,
        moments=[] if start else _moments(visit, wanted, interval, links),
        codes_since=report.codes_since,
    )


def _moments(
    visit: Visit, wanted: MetricFilter, interval: MetricInterval, links: NotificationLinks
) -> list[Moment]:
    """Reads the picture, in longer intervals where a picture has no place for so many."""
    length = picture_interval(interval, wanted.period.first, wanted.period.last)
    found = AnalyticsService().series(
        wanted=wanted, interval=length, counts=PICTURE, caller=visit.caller
    )
    ends = [start for start, _counts in found[1:]] + [wanted.period.span.end]
    return [
        Moment(
            start=start.astimezone(wanted.period.zone),
            counts=[counts[name] for name in PICTURE],
            link=links.to(span=(start, end)),
        )
        for (start, counts), end in zip(found, ends, strict=True)
    ]


def _series(moments: Sequence[Moment]) -> list[list[int]]:
    """Returns the columns of the picture: times in seconds since 1970, and the counts."""
    columns = [[int(each.start.timestamp()) for each in moments]]
    columns += [[each.counts[place] for each in moments] for place in range(len(PICTURE))]
    return columns


def _links(asked: AnalyticsQuery, name: str, values: Any) -> list[tuple[str, str, bool]]:
    """Returns (title, URL, whether it is the current one) for each value of a filter."""
    current = asked.query[name]
    return [
        (str(title), url_with(PATH, **{**asked.query, name: value}), value == current)
        for value, title in values.items()
    ]


def _ranges(visit: Visit, asked: AnalyticsQuery) -> list[tuple[str, str, bool]]:
    today = today_of(asked.zone, visit)
    found = []
    for days in _RANGES:
        start = (today - timedelta(days - 1)).isoformat()
        is_current = (asked.start, asked.end) == (start, today.isoformat())
        query = {**asked.query, "start": start, "end": today.isoformat(), "interval": ""}
        title = _("Today") if days == 1 else _("%(days)d days") % {"days": days}
        found.append((title, url_with(PATH, **query), is_current))
    return found


def _campaigns(visit: Visit, asked: AnalyticsQuery) -> list[tuple[int, str]]:
    """Returns the newest campaigns and the chosen one, with names for those who may read them."""
    if not visit.caller.may("broadcasts"):
        return [(asked.campaign, str(asked.campaign))] if asked.campaign else []
    rows = list(Campaign.objects.order_by("-pk").values_list("pk", "name")[:MOST_CAMPAIGNS])
    if asked.campaign and asked.campaign not in dict(rows):
        chosen = Campaign.objects.filter(pk=asked.campaign).values_list("pk", "name").first()
        rows.append(chosen or (asked.campaign, str(asked.campaign)))
    return rows


def _pages(visit: Visit, asked: AnalyticsQuery, following: int | None) -> PageLinks:
    return page_links(visit, PATH, asked.query, next_after=following)
