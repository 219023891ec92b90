"""Dead letters by the thousand, and what a person knows of them."""

from __future__ import annotations

from typing import Annotated

import msgspec

from notifications.api.bodies import Id, Text, check_body
from notifications.api.route import ApiRequest, Route
from notifications.features.dead_letters.service import (
    DeadLetterFilter,
    DeadLetterService,
    ManyResponse,
    SettleResponse,
)


class SettleBody(msgspec.Struct, kw_only=True):
    """What a person found out of these letters' messages. outcome: sent, delivered or failed."""

    ids: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=1000)]
    outcome: Text
    reason: Text


class ReplayManyBody(DeadLetterFilter, kw_only=True):
    """Which letters go out again; without any field all that wait."""


class DiscardManyBody(DeadLetterFilter, kw_only=True):
    """Which letters are closed for good, and why."""

    reason: Text


def replay_many(request: ApiRequest) -> ManyResponse:
    body = check_body(request.body, ReplayManyBody)
    return DeadLetterService().replay_matching(wanted=body, caller=request.caller)


def discard_many(request: ApiRequest) -> ManyResponse:
    body = check_body(request.body, DiscardManyBody)
    return DeadLetterService().discard_matching(
        wanted=body, reason=body.reason, caller=request.caller
    )


def settle(request: ApiRequest) -> SettleResponse:
    body = check_body(request.body, SettleBody)
    return DeadLetterService().resolve(
        ids=body.ids, outcome=body.outcome, reason=body.reason, caller=request.caller
    )


OPERATIONS = "operations"
ROUTES: tuple[Route, ...] = (
    Route(
        name="replay_matching_dead_letters",
        method="POST",
        path="/api/v1/dead-letters/replay-matching",
        handler=replay_many,
        summary="Send up to 10,000 dead letters that match again, as batches.",
        scope=OPERATIONS,
        body=ReplayManyBody,
        responses={200: ManyResponse},
        idempotent=True,
    ),
    Route(
        name="discard_matching_dead_letters",
        method="POST",
        path="/api/v1/dead-letters/discard-matching",
        handler=discard_many,
        summary="Close up to 10,000 dead letters that match for good, with a reason.",
        scope=OPERATIONS,
        body=DiscardManyBody,
        responses={200: ManyResponse},
        idempotent=True,
    ),
    Route(
        name="settle_dead_letters",
        method="POST",
        path="/api/v1/dead-letters/settle",
        handler=settle,
        summary="Say what became of messages in doubt: sent, delivered or failed.",
        scope=OPERATIONS,
        body=SettleBody,
        responses={200: SettleResponse},
        idempotent=True,
    ),
)
