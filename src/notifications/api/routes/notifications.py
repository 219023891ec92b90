"""Sending, asking, cancelling."""

from __future__ import annotations

from notifications.api import jobs, notifications
from notifications.api.route import Route
from notifications.services.answers import (
    BulkAnswer,
    CancelAnswer,
    ExplainAnswer,
    JobAnswer,
    SendAnswer,
    StatusAnswer,
)
from notifications.services.notification import BulkBody, SendBody
from notifications.services.simulation import SimulateAnswer

ROUTES: tuple[Route, ...] = (
    Route(
        name="send_notification",
        method="POST",
        path="/api/v1/notifications/send",
        handler=notifications.send,
        summary="Tell one person something, on one or several channels.",
        service_scope="notifications:send",
        body=SendBody,
        answers={201: SendAnswer},
        errors=(403, 404),
        idempotent=True,
    ),
    Route(
        name="send_bulk",
        method="POST",
        path="/api/v1/notifications/bulk",
        handler=notifications.send_bulk,
        summary="Tell up to 10,000 people something, each with a context of their own.",
        service_scope="notifications:send",
        body=BulkBody,
        answers={202: BulkAnswer},
        errors=(403, 404),
        idempotent=True,
    ),
    Route(
        name="simulate_notification",
        method="POST",
        path="/api/v1/notifications/simulate",
        handler=notifications.simulate,
        summary="What a send would lead to now: each decision and text. Nothing is sent.",
        service_scope="notifications:send",
        body=SendBody,
        answers={200: SimulateAnswer},
        errors=(403, 404),
    ),
    Route(
        name="notification_status",
        method="GET",
        path="/api/v1/notifications/{id}/status",
        handler=notifications.status,
        summary="What became of a notification so far, channel by channel.",
        service_scope="notifications:read",
        answers={200: StatusAnswer},
        errors=(404,),
    ),
    Route(
        name="explain_notification",
        method="GET",
        path="/api/v1/notifications/{id}/explain",
        handler=notifications.explain,
        summary="Why it was or was not sent: every decision and outcome, in order.",
        service_scope="notifications:read",
        answers={200: ExplainAnswer},
        errors=(404,),
    ),
    Route(
        name="cancel_notification",
        method="POST",
        path="/api/v1/notifications/{id}/cancel",
        handler=notifications.cancel,
        summary="Take back what has not left yet.",
        service_scope="notifications:send",
        answers={200: CancelAnswer},
        errors=(404, 409),
        idempotent=True,
    ),
    Route(
        name="job_progress",
        method="GET",
        path="/api/v1/jobs/{job_id}",
        handler=jobs.job,
        summary="How far a bulk call has come, by state.",
        service_scope="notifications:read",
        answers={200: JobAnswer},
        errors=(404,),
    ),
)
