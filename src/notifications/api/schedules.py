"""Notifications at a time to come: schedule, ask, take back."""

from __future__ import annotations

from notifications.api.route import ApiRequest
from notifications.services.schedule_answers import (
    CancelScheduledAnswer,
    ScheduledAnswer,
    ScheduleStatusAnswer,
)
from notifications.services.schedules import ScheduleService


def schedule(request: ApiRequest) -> ScheduledAnswer:
    return ScheduleService().schedule(body=request.body, caller=request.caller)


def cancel(request: ApiRequest) -> CancelScheduledAnswer:
    return ScheduleService().cancel(identifier=request.params["id"], caller=request.caller)


def status(request: ApiRequest) -> ScheduleStatusAnswer:
    return ScheduleService().status(identifier=request.params["id"], caller=request.caller)
