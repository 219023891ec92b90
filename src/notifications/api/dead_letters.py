"""Routes that work on many dead letters, or record what a person found out."""

from __future__ import annotations

from typing import Annotated

import msgspec

from notifications.api.bodies import Id, Text, check_body
from notifications.api.route import ApiRequest, Route
from notifications.features.dead_letters.service import (
    OUTCOMES,
    DeadLetterFilter,
    DeadLetterService,
    ManyResponse,
    SettleResponse,
)
from notifications.infra.field_types import choice


class SettleBody(msgspec.Struct, kw_only=True):
    """What a person found out about the messages of dead letters."""

    ids: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=1000)]
    """The integer ids of 1 to 1,000 dead letters. Example: `[8, 9]`"""

    outcome: Annotated[Text, choice("Outcome", OUTCOMES, "What became of the messages.")]

    reason: Text
    """How the person knows it, up to 200 characters. Example: `the vendor confirmed it`"""


class ReplayManyBody(DeadLetterFilter, kw_only=True):
    """The dead letters to replay; without any field, all open ones."""


class DiscardManyBody(DeadLetterFilter, kw_only=True):
    """The dead letters to discard."""

    reason: Text
    """Why they are discarded, up to 200 characters. Example: `sent by hand`"""


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
        summary="Replay up to 10,000 matching dead letters.",
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
        summary="Discard up to 10,000 matching dead letters, with a reason.",
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
        summary="Record the result of uncertain messages: sent, delivered or failed.",
        scope=OPERATIONS,
        body=SettleBody,
        responses={200: SettleResponse},
        idempotent=True,
    ),
)
