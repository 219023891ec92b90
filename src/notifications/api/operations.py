"""Kill switches and dead letters."""

from __future__ import annotations

from notifications.api.answers import (
    DeadLetterList,
    DiscardAnswer,
    DiscardBody,
    ReplayAnswer,
    ReplayBody,
    StopBody,
    StopList,
)
from notifications.api.bodies import check_body
from notifications.api.pages import links, page_of
from notifications.api.route import ApiRequest
from notifications.features.operations.schemas import StopAnswer
from notifications.features.operations.service import OperationsService


def stops(request: ApiRequest) -> StopList:
    return StopList(results=OperationsService().stops(caller=request.caller))


def stop(request: ApiRequest) -> StopAnswer:
    body = check_body(request.body, StopBody)
    return OperationsService().stop(
        scope=body.scope, value=body.value, reason=body.reason, caller=request.caller
    )


def lift(request: ApiRequest) -> tuple[int, None]:
    OperationsService().lift(
        scope=request.query["scope"], value=request.query["value"], caller=request.caller
    )
    return 204, None


def dead_letters(request: ApiRequest) -> DeadLetterList:
    page = page_of(request)
    found = OperationsService().dead_letters(
        caller=request.caller,
        channel=request.query["channel"],
        provider=request.query["provider"],
        code=request.query["code"],
        template=request.query["template"],
        resolved=request.query["resolved"],
        after=page.after,
        limit=page.fetch,
    )
    following, previous = links(request, page, [letter.id for letter in found])
    return DeadLetterList(results=found[: page.limit], next=following, previous=previous)


def replay(request: ApiRequest) -> ReplayAnswer:
    body = check_body(request.body, ReplayBody)
    return ReplayAnswer(replayed=OperationsService().replay(ids=body.ids, caller=request.caller))


def discard(request: ApiRequest) -> DiscardAnswer:
    body = check_body(request.body, DiscardBody)
    return DiscardAnswer(
        discarded=OperationsService().discard(
            ids=body.ids, reason=body.reason, caller=request.caller
        )
    )
