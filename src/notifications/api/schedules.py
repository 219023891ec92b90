"""Routes of scheduled notifications and series."""

from __future__ import annotations

from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Route
from notifications.features.scheduling.schemas import (
    CancelScheduledResponse,
    ScheduledResponse,
    ScheduleStatusResponse,
    SeriesCancelResponse,
    SeriesList,
    SeriesResponse,
)
from notifications.features.scheduling.series import SeriesService
from notifications.features.scheduling.service import ScheduleBody, ScheduleService


def schedule(request: ApiRequest) -> ScheduledResponse:
    return ScheduleService().schedule(body=request.body, caller=request.caller)


def cancel(request: ApiRequest) -> CancelScheduledResponse:
    return ScheduleService().cancel(identifier=request.params["id"], caller=request.caller)


def status(request: ApiRequest) -> ScheduleStatusResponse:
    return ScheduleService().status(identifier=request.params["id"], caller=request.caller)


def series(request: ApiRequest) -> SeriesList:
    page = page_of(request)
    found = SeriesService().list(caller=request.caller, after=page.after, limit=page.fetch)
    following, previous = links(request, page, [each.key for each in found])
    return SeriesList(results=list(found[: page.limit]), next=following, previous=previous)


def one_series(request: ApiRequest) -> SeriesResponse:
    return SeriesService().get(identifier=request.params["id"], caller=request.caller)


def cancel_series(request: ApiRequest) -> SeriesCancelResponse:
    return SeriesService().cancel(identifier=request.params["id"], caller=request.caller)


ROUTES: tuple[Route, ...] = (
    Route(
        name="schedule_notification",
        method="POST",
        path="/api/notifications/schedule",
        handler=schedule,
        summary="Schedule a text for up to 10,000 users.",
        service_scope="notifications:send",
        body=ScheduleBody,
        responses={201: ScheduledResponse},
        errors=(403,),
        idempotent=True,
    ),
    Route(
        name="cancel_scheduled",
        method="DELETE",
        path="/api/notifications/{id}/cancel_scheduled",
        handler=cancel,
        summary="Cancel a scheduled notification while it is pending.",
        service_scope="notifications:send",
        responses={200: CancelScheduledResponse},
        errors=(400, 404),
    ),
    Route(
        name="cancel_scheduled_alias",
        method="DELETE",
        path="/api/notifications/{id}/scheduled",
        handler=cancel,
        summary="The same as cancel_scheduled.",
        service_scope="notifications:send",
        responses={200: CancelScheduledResponse},
        errors=(400, 404),
    ),
    Route(
        name="schedule_status",
        method="GET",
        path="/api/notifications/{id}/schedule_status",
        handler=status,
        summary="Get the state of a scheduled notification.",
        service_scope="notifications:read",
        responses={200: ScheduleStatusResponse},
        errors=(404,),
    ),
    Route(
        name="list_schedules",
        method="GET",
        path="/api/v1/schedules",
        handler=series,
        summary="List series, the oldest first.",
        service_scope="notifications:send",
        query=PAGE_QUERY,
        responses={200: SeriesList},
    ),
    Route(
        name="get_schedule",
        method="GET",
        path="/api/v1/schedules/{id}",
        handler=one_series,
        summary="Get one series and its next occurrence.",
        service_scope="notifications:send",
        responses={200: SeriesResponse},
        errors=(404,),
    ),
    Route(
        name="cancel_schedule",
        method="DELETE",
        path="/api/v1/schedules/{id}",
        handler=cancel_series,
        summary="Cancel a series and its notifications that were not sent yet.",
        service_scope="notifications:send",
        responses={200: SeriesCancelResponse},
        errors=(404, 409),
    ),
)
