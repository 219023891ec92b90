"""Notifications at a time to come: schedule, ask, take back."""

from __future__ import annotations

from notifications.api.pages import links, page_of
from notifications.api.route import ApiRequest
from notifications.features.scheduling.schemas import (
    CancelScheduledAnswer,
    ScheduledAnswer,
    ScheduleStatusAnswer,
    SeriesAnswer,
    SeriesCancelAnswer,
    SeriesList,
)
from notifications.features.scheduling.series import SeriesService
from notifications.features.scheduling.service import ScheduleService


def schedule(request: ApiRequest) -> ScheduledAnswer:
    return ScheduleService().schedule(body=request.body, caller=request.caller)


def cancel(request: ApiRequest) -> CancelScheduledAnswer:
    return ScheduleService().cancel(identifier=request.params["id"], caller=request.caller)


def status(request: ApiRequest) -> ScheduleStatusAnswer:
    return ScheduleService().status(identifier=request.params["id"], caller=request.caller)


def series(request: ApiRequest) -> SeriesList:
    page = page_of(request)
    found = SeriesService().list(caller=request.caller, after=page.after, limit=page.fetch)
    following, previous = links(request, page, [each.key for each in found])
    return SeriesList(results=list(found[: page.limit]), next=following, previous=previous)


def one_series(request: ApiRequest) -> SeriesAnswer:
    return SeriesService().get(identifier=request.params["id"], caller=request.caller)


def cancel_series(request: ApiRequest) -> SeriesCancelAnswer:
    return SeriesService().cancel(identifier=request.params["id"], caller=request.caller)
