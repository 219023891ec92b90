"""What providers' services take now."""

from __future__ import annotations

import msgspec

from notifications.api.bodies import check_body
from notifications.api.pages import links, page_of
from notifications.api.route import ApiRequest
from notifications.features.providers.breakers import BreakerAnswer, BreakerService


class BreakerList(msgspec.Struct, kw_only=True):
    """A page of services."""

    results: list[BreakerAnswer]
    next: str | None
    previous: str | None


class BreakerBody(msgspec.Struct, kw_only=True):
    """Which service."""

    service: str


def breakers(request: ApiRequest) -> BreakerList:
    page = page_of(request)
    found = BreakerService().list(after=page.after, limit=page.fetch, caller=request.caller)
    following, previous = links(request, page, [row.id for row in found])
    return BreakerList(results=found[: page.limit], next=following, previous=previous)


def close(request: ApiRequest) -> BreakerAnswer:
    body = check_body(request.body, BreakerBody)
    return BreakerService().close(service=body.service, caller=request.caller)
