"""Limits and breakers of providers' services."""

from __future__ import annotations

from notifications.api import breakers
from notifications.api.breakers import BreakerBody, BreakerList
from notifications.api.pages import PAGE_QUERY
from notifications.api.route import Route
from notifications.features.providers.breakers import BreakerAnswer
from notifications.features.providers.service import SCOPE

ROUTES: tuple[Route, ...] = (
    Route(
        name="list_breakers",
        method="GET",
        path="/api/v1/breakers",
        handler=breakers.breakers,
        summary="Providers' services: breaker, pause, limit, last success and last fault.",
        scope=SCOPE,
        query=PAGE_QUERY,
        answers={200: BreakerList},
    ),
    Route(
        name="close_breaker",
        method="POST",
        path="/api/v1/breakers/close",
        handler=breakers.close,
        summary="Close a service's breaker and end its pause: the next messages go at once.",
        scope=SCOPE,
        body=BreakerBody,
        answers={200: BreakerAnswer},
        errors=(404,),
        idempotent=True,
    ),
)
