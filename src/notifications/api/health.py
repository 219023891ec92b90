"""What load balancers and alerts ask."""

from __future__ import annotations

from notifications.api.answers import LiveAnswer
from notifications.api.route import ApiRequest
from notifications.services.health import HEALTHY, HealthAnswer, health, readiness


def live(request: ApiRequest) -> LiveAnswer:
    return LiveAnswer(status="alive")


def ready(request: ApiRequest) -> tuple[int, HealthAnswer]:
    return _with_status(readiness(now=request.now))


def report(request: ApiRequest) -> tuple[int, HealthAnswer]:
    return _with_status(health(now=request.now))


def _with_status(answer: HealthAnswer) -> tuple[int, HealthAnswer]:
    return (200 if answer.status == HEALTHY else 503), answer
