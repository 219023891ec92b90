"""The schedule, at the addresses and in the shapes of the source document."""

from __future__ import annotations

from notifications.api import schedules
from notifications.api.pages import PAGE_QUERY
from notifications.api.route import Route
from notifications.features.scheduling.schemas import (
    CancelScheduledAnswer,
    ScheduledAnswer,
    ScheduleStatusAnswer,
    SeriesAnswer,
    SeriesCancelAnswer,
    SeriesList,
)
from notifications.features.scheduling.service import ScheduleBody

ROUTES: tuple[Route, ...] = (
    Route(
        name="schedule_notification",
        method="POST",
        path="/api/notifications/schedule",
        handler=schedules.schedule,
        summary="Tell up to 10,000 people a text at a time to come.",
        service_scope="notifications:send",
        body=ScheduleBody,
        answers={201: ScheduledAnswer},
        errors=(403,),
        idempotent=True,
    ),
    Route(
        name="cancel_scheduled",
        method="DELETE",
        path="/api/notifications/{id}/cancel_scheduled",
        handler=schedules.cancel,
        summary="Take a scheduled notification back, while it is pending.",
        service_scope="notifications:send",
        answers={200: CancelScheduledAnswer},
        errors=(400, 404),
    ),
    Route(
        name="cancel_scheduled_alias",
        method="DELETE",
        path="/api/notifications/{id}/scheduled",
        handler=schedules.cancel,
        summary="The same as cancel_scheduled.",
        service_scope="notifications:send",
        answers={200: CancelScheduledAnswer},
        errors=(400, 404),
    ),
    Route(
        name="schedule_status",
        method="GET",
        path="/api/notifications/{id}/schedule_status",
        handler=schedules.status,
        summary="How far a scheduled notification has come.",
        service_scope="notifications:read",
        answers={200: ScheduleStatusAnswer},
        errors=(404,),
    ),
    Route(
        name="list_schedules",
        method="GET",
        path="/api/v1/schedules",
        handler=schedules.series,
        summary="What recurs, the oldest first.",
        service_scope="notifications:send",
        query=PAGE_QUERY,
        answers={200: SeriesList},
    ),
    Route(
        name="get_schedule",
        method="GET",
        path="/api/v1/schedules/{id}",
        handler=schedules.one_series,
        summary="Something that recurs, and when it does next.",
        service_scope="notifications:send",
        answers={200: SeriesAnswer},
        errors=(404,),
    ),
    Route(
        name="cancel_schedule",
        method="DELETE",
        path="/api/v1/schedules/{id}",
        handler=schedules.cancel_series,
        summary="End what recurs, and take back what it has made and has not left.",
        service_scope="notifications:send",
        answers={200: SeriesCancelAnswer},
        errors=(404, 409),
    ),
)
