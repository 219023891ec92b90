"""Routes of metrics and of the named reports."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from notifications.api.pages import PAGE_QUERY, links_to, page_of
from notifications.api.response import CSV_TYPE
from notifications.api.route import ApiRequest, Download, Query, Route
from notifications.domain.analytics.periods import MetricInterval
from notifications.domain.analytics.reports import REPORTS
from notifications.domain.channels import Channel
from notifications.features.analytics.schemas import MetricsResponse, ReportResponse
from notifications.features.analytics.service import READ, AnalyticsService, MetricFilter


def metrics(request: ApiRequest) -> MetricsResponse:
    return AnalyticsService().metrics(
        wanted=_filter(request), interval=request.query["interval"], caller=request.caller
    )


def report(request: ApiRequest, *, name: str) -> ReportResponse:
    page = page_of(request)
    period, found = AnalyticsService().report(
        name=name,
        wanted=_filter(request),
        interval=request.query.get("interval", ""),
        caller=request.caller,
    )
    end = page.after + page.limit
    following, previous = links_to(request, page, end if end < len(found.rows) else None)
    return ReportResponse(
        report=name,
        period=period,
        results=list(found.rows[page.after : end]),
        codes_since=found.codes_since,
        next=following,
        previous=previous,
    )


def report_csv(request: ApiRequest, *, name: str) -> Download:
    parts = AnalyticsService().report_as_csv(
        name=name,
        wanted=_filter(request),
        interval=request.query.get("interval", ""),
        caller=request.caller,
    )
    return Download(name=f"{name}.csv", parts=parts)


def _filter(request: ApiRequest) -> MetricFilter:
    query = request.query
    return MetricFilter(
        start=query["start_date"],
        end=query["end_date"],
        zone=query["tz"],
        channel=query["channel"],
        template_id=query["template_id"],
        source=query.get("source", ""),
    )


_RANGE = (
    Query(
        name="start_date",
        about="The first day (`2026-11-01`), or a time (RFC 3339) on a quarter of an hour.",
        required=True,
        longest=40,
    ),
    Query(
        name="end_date",
        about="The last day, included; or a time on a quarter of an hour, not included.",
        required=True,
        longest=40,
    ),
    Query(name="tz", about="The time zone of the days (IANA).", default="UTC", longest=64),
    Query(name="channel", about="Only this channel.", choices=tuple(str(each) for each in Channel)),
    Query(name="template_id", about="Only this template; 0 for all.", kind="integer", default=0),
)
_INTERVAL = Query(
    name="interval",
    about="Also a series with intervals of this length.",
    choices=tuple(MetricInterval),
)
_SERIES = Query(
    name="interval",
    about="The length of an interval; a day without it.",
    choices=tuple(MetricInterval),
)
_SOURCE = Query(name="source", about="Only this source, e.g. `broadcast:12`.", longest=60)


def _routes_of(name: str) -> tuple[Route, Route]:
    about = REPORTS[name].about
    query = (*_RANGE, _SOURCE, *((_SERIES,) if REPORTS[name].in_series else ()))
    handlers: tuple[Callable[..., ReportResponse], Callable[..., Download]] = (report, report_csv)
    return (
        Route(
            name=f"get_report_{name}",
            method="GET",
            path=f"/api/v1/analytics/reports/{name}",
            handler=partial(handlers[0], name=name),
            summary=about,
            scope=READ,
            query=(*query, *PAGE_QUERY),
            responses={200: ReportResponse},
        ),
        Route(
            name=f"export_report_{name}",
            method="GET",
            path=f"/api/v1/analytics/reports/{name}.csv",
            handler=partial(handlers[1], name=name),
            summary=f"The same as CSV. {about}",
            scope=READ,
            query=query,
            responses={200: None},
            media=CSV_TYPE,
        ),
    )


ROUTES: tuple[Route, ...] = (
    Route(
        name="get_metrics",
        method="GET",
        path="/api/v1/analytics/metrics",
        handler=metrics,
        summary="Count what was sent in a range, and what became of it.",
        scope=READ,
        query=(*_RANGE, _INTERVAL),
        responses={200: MetricsResponse},
    ),
    *(route for name in REPORTS for route in _routes_of(name)),
)
