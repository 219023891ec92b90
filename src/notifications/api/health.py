"""Routes of the health checks, for load balancers and alerts."""

from __future__ import annotations

import msgspec
from django.http import HttpRequest
from rest_framework.request import Request

from notifications.api.auth import CarillonAuthentication
from notifications.api.route import ApiRequest, Auth, Route
from notifications.features.access.authentication import Unauthenticated
from notifications.features.access.principals import OPERATIONS, may_operate
from notifications.features.operations.health import HealthResponse, health, readiness
from notifications.features.operations.health_results import HEALTHY
from notifications.infra.conf import environment


class LiveResponse(msgspec.Struct, kw_only=True):
    """The process responds."""

    status: str
    """Always `alive`. Example: `alive`"""


class _ReadOnlyAuthentication(CarillonAuthentication):
    """A health check writes nothing: it must respond while writes hang."""

    records_use = False


def live(request: ApiRequest) -> LiveResponse:
    return LiveResponse(status="alive")


def ready(request: ApiRequest) -> tuple[int, HealthResponse]:
    return _with_status(readiness(now=request.now))


def report(request: ApiRequest) -> tuple[int, HealthResponse]:
    return _with_status(health(now=request.now, in_full=lambda: _may_read_reasons(request.http)))


def _may_read_reasons(http: HttpRequest) -> bool:
    """Returns whether the caller, by session or by header, may read the reasons of kill switches.

    A wrong header counts as none, because this page is public. A platform's JWT counts as none when
    its keys would have to be fetched.
    """
    if may_operate(getattr(http, "user", None)):
        return True
    if "." in http.headers.get("Authorization", "") and environment().jwt_jwks_url:
        return False
    try:
        known = _ReadOnlyAuthentication().authenticate(Request(http))
    except Unauthenticated:
        return False
    return known is not None and known[1].may(OPERATIONS)


def _with_status(health: HealthResponse) -> tuple[int, HealthResponse]:
    return (200 if health.status == HEALTHY else 503), health


ROUTES: tuple[Route, ...] = (
    Route(
        name="live",
        method="GET",
        path="/health/live",
        handler=live,
        summary="Check that the process responds.",
        auth=Auth.PUBLIC,
        responses={200: LiveResponse},
    ),
    Route(
        name="ready",
        method="GET",
        path="/health/ready",
        handler=ready,
        summary="Check that the service is ready: database, migrations and loops, not the broker.",
        auth=Auth.PUBLIC,
        responses={200: HealthResponse, 503: HealthResponse},
    ),
    Route(
        name="health",
        method="GET",
        path="/health",
        handler=report,
        summary="Check database, Redis, queues and dead letters; 503 with reasons when unhealthy.",
        auth=Auth.PUBLIC,
        responses={200: HealthResponse, 503: HealthResponse},
    ),
)
