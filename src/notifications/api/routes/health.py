"""Whether it lives, is ready and is well."""

from __future__ import annotations

from notifications.api import health
from notifications.api.answers import LiveAnswer
from notifications.api.route import Auth, Route
from notifications.features.operations.health import HealthAnswer

ROUTES: tuple[Route, ...] = (
    Route(
        name="live",
        method="GET",
        path="/health/live",
        handler=health.live,
        summary="Whether the process answers.",
        auth=Auth.PUBLIC,
        answers={200: LiveAnswer},
    ),
    Route(
        name="ready",
        method="GET",
        path="/health/ready",
        handler=health.ready,
        summary="Whether it serves: database, migrations and loops, not the broker.",
        auth=Auth.PUBLIC,
        answers={200: HealthAnswer, 503: HealthAnswer},
    ),
    Route(
        name="health",
        method="GET",
        path="/health",
        handler=health.report,
        summary="Database, Redis, queues and dead letters; 503 with reasons when something ails.",
        auth=Auth.PUBLIC,
        answers={200: HealthAnswer, 503: HealthAnswer},
    ),
)
