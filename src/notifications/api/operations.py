"""Routes of kill switches, dead letters and failed items."""

from __future__ import annotations

from typing import Annotated

import msgspec

from notifications.api.bodies import Id, Ids, Text, check_body
from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Query, Route
from notifications.features.operations.schemas import STOP_SCOPE, DeadLetterResponse, StopResponse
from notifications.features.operations.service import OperationsService
from notifications.features.operations.set_aside import (
    ResumedResponse,
    SetAsideResponse,
    SetAsideService,
)
from notifications.infra.field_types import NextPage, PreviousPage
from notifications.models import KillSwitch


class StopBody(msgspec.Struct, kw_only=True):
    """What to stop."""

    scope: Annotated[Text, STOP_SCOPE]

    reason: Text
    """Why it is stopped, up to 200 characters. Example: `vendor incident`"""

    value: Text = ""
    """What of the scope is stopped; empty for the scope `all`. Example: `email`"""


class StopList(msgspec.Struct, kw_only=True):
    """The kill switches in force, the newest first."""

    results: list[StopResponse]
    """The kill switches."""

    next: NextPage = None
    previous: PreviousPage = None


class DeadLetterList(msgspec.Struct, kw_only=True):
    """A page of dead letters, the oldest first."""

    results: list[DeadLetterResponse]
    """The dead letters of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class ReplayBody(msgspec.Struct, kw_only=True):
    """Dead letters to replay."""

    ids: Ids
    """The integer ids of 1 to 10,000 dead letters. Example: `[8, 9]`"""


class DiscardBody(msgspec.Struct, kw_only=True):
    """Dead letters to discard."""

    ids: Ids
    """The integer ids of 1 to 10,000 dead letters. Example: `[8, 9]`"""

    reason: Text
    """Why they are discarded, up to 200 characters. Example: `sent by hand`"""


class ReplayResponse(msgspec.Struct, kw_only=True):
    """Dead letters were replayed; those that were resolved before are skipped."""

    replayed: int
    """The number of dead letters that were queued again. Example: `2`"""


class DiscardResponse(msgspec.Struct, kw_only=True):
    """Dead letters were discarded; those that were resolved before are skipped."""

    discarded: int
    """The number of dead letters that were discarded. Example: `2`"""


def stops(request: ApiRequest) -> StopList:
    return StopList(results=OperationsService().stops(caller=request.caller))


def stop(request: ApiRequest) -> StopResponse:
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


def replay(request: ApiRequest) -> ReplayResponse:
    body = check_body(request.body, ReplayBody)
    return ReplayResponse(replayed=OperationsService().replay(ids=body.ids, caller=request.caller))


def discard(request: ApiRequest) -> DiscardResponse:
    body = check_body(request.body, DiscardBody)
    return DiscardResponse(
        discarded=OperationsService().discard(
            ids=body.ids, reason=body.reason, caller=request.caller
        )
    )


class SetAsideList(msgspec.Struct, kw_only=True):
    """A page of failed items, the oldest failure first."""

    results: list[SetAsideResponse]
    """The items of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class ResumeBody(msgspec.Struct, kw_only=True):
    """The failed items to resume."""

    ids: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=1000)]
    """The ids of 1 to 1,000 entries of the list. Example: `[4]`"""


def items(request: ApiRequest) -> SetAsideList:
    page = page_of(request)
    found = SetAsideService().list(
        caller=request.caller, work=request.query["work"], after=page.after, limit=page.fetch
    )
    following, previous = links(request, page, [each.id for each in found])
    return SetAsideList(results=found[: page.limit], next=following, previous=previous)


def resume(request: ApiRequest) -> ResumedResponse:
    body = check_body(request.body, ResumeBody)
    return SetAsideService().resume(ids=body.ids, caller=request.caller)


OPERATIONS = "operations"
STOP_SCOPES = tuple(KillSwitch.Scope.values)
ROUTES: tuple[Route, ...] = (
    Route(
        name="list_stops",
        method="GET",
        path="/api/v1/kill-switch",
        handler=stops,
        summary="List the kill switches in force.",
        scope=OPERATIONS,
        responses={200: StopList},
    ),
    Route(
        name="stop",
        method="POST",
        path="/api/v1/kill-switch",
        handler=stop,
        summary="Stop everything, or one channel, provider, category, template, source or version.",
        scope=OPERATIONS,
        body=StopBody,
        responses={201: StopResponse},
        idempotent=True,
    ),
    Route(
        name="lift_stop",
        method="DELETE",
        path="/api/v1/kill-switch",
        handler=lift,
        summary="Lift a kill switch; waiting messages are sent.",
        scope=OPERATIONS,
        query=(
            Query(
                name="scope",
                about="The scope of the kill switch: `all`, `channel`, `provider`, ...",
                required=True,
                choices=STOP_SCOPES,
            ),
            Query(name="value", about="What is stopped, e.g. `email`; empty for scope `all`."),
        ),
        responses={204: None},
        errors=(404,),
    ),
    Route(
        name="list_dead_letters",
        method="GET",
        path="/api/v1/dead-letters",
        handler=dead_letters,
        summary="List messages that failed for good, or that need a person's decision.",
        scope=OPERATIONS,
        query=(
            Query(name="channel", about="Only this channel."),
            Query(name="provider", about="Only this provider."),
            Query(name="code", about="Only this error code, e.g. `uncertain` or `poison`."),
            Query(name="template", about="Only this template, by its path."),
            Query(
                name="resolved",
                about="Resolved dead letters instead of open ones.",
                kind="boolean",
                default=False,
            ),
            *PAGE_QUERY,
        ),
        responses={200: DeadLetterList},
    ),
    Route(
        name="replay_dead_letters",
        method="POST",
        path="/api/v1/dead-letters/replay",
        handler=replay,
        summary="Replay dead letters, each on its own template version.",
        scope=OPERATIONS,
        body=ReplayBody,
        responses={200: ReplayResponse},
        idempotent=True,
    ),
    Route(
        name="discard_dead_letters",
        method="POST",
        path="/api/v1/dead-letters/discard",
        handler=discard,
        summary="Discard dead letters, with a reason.",
        scope=OPERATIONS,
        body=DiscardBody,
        responses={200: DiscardResponse},
        idempotent=True,
    ),
    Route(
        name="list_set_aside",
        method="GET",
        path="/api/v1/set-aside",
        handler=items,
        summary="List failed items of periodic work, also those that are skipped.",
        scope="operations",
        query=(Query(name="work", about="Only this work, e.g. `receipt`."), *PAGE_QUERY),
        responses={200: SetAsideList},
    ),
    Route(
        name="resume_set_aside",
        method="POST",
        path="/api/v1/set-aside/resume",
        handler=resume,
        summary="Resume failed items at once.",
        scope="operations",
        body=ResumeBody,
        responses={200: ResumedResponse},
        errors=(404,),
        idempotent=True,
    ),
)
