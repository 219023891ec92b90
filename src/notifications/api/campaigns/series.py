"""Routes of series."""

from __future__ import annotations

from notifications.api.bodies import check_body
from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Query, Route
from notifications.domain.series.lifecycle import EnrollmentState, MailSeriesStatus
from notifications.features.series.reading import enrollments_of, series_report
from notifications.features.series.report_schemas import (
    SeriesEnrollmentList,
    SeriesReportResponse,
)
from notifications.features.series.schemas import (
    MailSeriesBody,
    MailSeriesChangeBody,
    MailSeriesList,
    MailSeriesResponse,
    SeriesRejectBody,
)
from notifications.features.series.service import SCOPE, MailSeriesService
from notifications.models import MailSeries

_ALL = "/api/v1/series"
ONE = f"{_ALL}/{{id}}"
_STATUS = Query(name="status", about="Only this status.", choices=tuple(MailSeriesStatus))
_STATE = Query(name="state", about="Only this state.", choices=tuple(EnrollmentState))


def every_series(request: ApiRequest) -> MailSeriesList:
    page = page_of(request)
    found = MailSeriesService().list(
        caller=request.caller, status=request.query["status"], after=page.after, limit=page.fetch
    )
    following, previous = links(request, page, [each.key for each in found])
    return MailSeriesList(results=list(found[: page.limit]), next=following, previous=previous)


def create(request: ApiRequest) -> MailSeriesResponse:
    body = check_body(request.body, MailSeriesBody)
    return MailSeriesService().create(body=body, caller=request.caller, now=request.now)


def series(request: ApiRequest) -> MailSeriesResponse:
    return MailSeriesService().get(identifier=request.params["id"], caller=request.caller)


def change(request: ApiRequest) -> MailSeriesResponse:
    return MailSeriesService().change(
        identifier=request.params["id"],
        body=check_body(request.body, MailSeriesChangeBody),
        caller=request.caller,
        now=request.now,
    )


def delete(request: ApiRequest) -> tuple[int, None]:
    MailSeriesService().delete(
        identifier=request.params["id"], caller=request.caller, now=request.now
    )
    return 204, None


def launch(request: ApiRequest) -> MailSeriesResponse:
    return MailSeriesService().launch(
        identifier=request.params["id"], caller=request.caller, now=request.now
    )


def pause(request: ApiRequest) -> MailSeriesResponse:
    return MailSeriesService().pause(
        identifier=request.params["id"], caller=request.caller, now=request.now
    )


def resume(request: ApiRequest) -> MailSeriesResponse:
    return MailSeriesService().resume(
        identifier=request.params["id"], caller=request.caller, now=request.now
    )


def end(request: ApiRequest) -> MailSeriesResponse:
    return MailSeriesService().end(
        identifier=request.params["id"], caller=request.caller, now=request.now
    )


def approve(request: ApiRequest) -> MailSeriesResponse:
    return MailSeriesService().approve(
        identifier=request.params["id"], caller=request.caller, now=request.now
    )


def reject(request: ApiRequest) -> MailSeriesResponse:
    body = check_body(request.body, SeriesRejectBody)
    return MailSeriesService().reject(
        identifier=request.params["id"], note=body.note, caller=request.caller, now=request.now
    )


def report(request: ApiRequest) -> SeriesReportResponse:
    return series_report(_found(request))


def enrollments(request: ApiRequest) -> SeriesEnrollmentList:
    page = page_of(request)
    found = enrollments_of(
        _found(request), state=request.query["state"], after=page.after, limit=page.fetch
    )
    following, previous = links(request, page, [each.key for each in found])
    return SeriesEnrollmentList(
        results=list(found[: page.limit]), next=following, previous=previous
    )


def _found(request: ApiRequest) -> MailSeries:
    return MailSeriesService().find(request.params["id"], caller=request.caller)


ROUTES: tuple[Route, ...] = (
    Route(
        name="list_series",
        method="GET",
        path=_ALL,
        handler=every_series,
        summary="List series, the oldest first.",
        scope=SCOPE,
        query=(_STATUS, *PAGE_QUERY),
        responses={200: MailSeriesList},
    ),
    Route(
        name="create_series",
        method="POST",
        path=_ALL,
        handler=create,
        summary="Write a series of mails. It is a draft.",
        scope=SCOPE,
        body=MailSeriesBody,
        responses={201: MailSeriesResponse},
        idempotent=True,
    ),
    Route(
        name="get_series",
        method="GET",
        path=ONE,
        handler=series,
        summary="Get a series.",
        scope=SCOPE,
        responses={200: MailSeriesResponse},
        errors=(404,),
    ),
    Route(
        name="change_series",
        method="PATCH",
        path=ONE,
        handler=change,
        summary="Change a draft, or the name, the description and the steps of an open series.",
        scope=SCOPE,
        body=MailSeriesChangeBody,
        responses={200: MailSeriesResponse},
        errors=(404, 409),
    ),
    Route(
        name="delete_series",
        method="DELETE",
        path=ONE,
        handler=delete,
        summary="Delete a draft of a series.",
        scope=SCOPE,
        responses={204: None},
        errors=(404, 409),
    ),
    Route(
        name="launch_series",
        method="POST",
        path=f"{ONE}/launch",
        handler=launch,
        summary="Make a series live, or request the approval that it needs.",
        scope=SCOPE,
        responses={200: MailSeriesResponse},
        errors=(404, 409),
        idempotent=True,
    ),
    Route(
        name="pause_series",
        method="POST",
        path=f"{ONE}/pause",
        handler=pause,
        summary="Pause a live series; users still enter it, and no mail is sent.",
        scope=SCOPE,
        responses={200: MailSeriesResponse},
        errors=(404, 409),
        idempotent=True,
    ),
    Route(
        name="resume_series",
        method="POST",
        path=f"{ONE}/resume",
        handler=resume,
        summary="Resume a paused series, or request the approval that it needs.",
        scope=SCOPE,
        responses={200: MailSeriesResponse},
        errors=(404, 409),
        idempotent=True,
    ),
    Route(
        name="end_series",
        method="POST",
        path=f"{ONE}/end",
        handler=end,
        summary="End a series for good; those who wait in it get nothing more.",
        scope=SCOPE,
        responses={200: MailSeriesResponse},
        errors=(404, 409),
        idempotent=True,
    ),
    Route(
        name="approve_series",
        method="POST",
        path=f"{ONE}/approve",
        handler=approve,
        summary="Release a series, or a change of one, that someone else wrote.",
        scope=SCOPE,
        responses={200: MailSeriesResponse},
        errors=(404, 409),
        idempotent=True,
    ),
    Route(
        name="reject_series",
        method="POST",
        path=f"{ONE}/reject",
        handler=reject,
        summary="Return a series to its author, with the reason.",
        scope=SCOPE,
        body=SeriesRejectBody,
        responses={200: MailSeriesResponse},
        errors=(404, 409),
        idempotent=True,
    ),
    Route(
        name="series_report",
        method="GET",
        path=f"{ONE}/report",
        handler=report,
        summary="Count the users of a series by state and step.",
        scope=SCOPE,
        responses={200: SeriesReportResponse},
        errors=(404,),
    ),
    Route(
        name="series_enrollments",
        method="GET",
        path=f"{ONE}/enrollments",
        handler=enrollments,
        summary="List the users of a series.",
        scope=SCOPE,
        query=(_STATE, *PAGE_QUERY),
        responses={200: SeriesEnrollmentList},
        errors=(404,),
    ),
)
