"""Dead letters by the thousand, and what a person knows of them."""

from __future__ import annotations

from notifications.api import dead_letters
from notifications.api.dead_letters import DiscardManyBody, ReplayManyBody, SettleBody
from notifications.api.route import Route
from notifications.features.dead_letters.service import ManyAnswer, SettleAnswer

OPERATIONS = "operations"

ROUTES: tuple[Route, ...] = (
    Route(
        name="replay_matching_dead_letters",
        method="POST",
        path="/api/v1/dead-letters/replay-matching",
        handler=dead_letters.replay_many,
        summary="Send up to 10,000 dead letters that match again, as batches.",
        scope=OPERATIONS,
        body=ReplayManyBody,
        answers={200: ManyAnswer},
        idempotent=True,
    ),
    Route(
        name="discard_matching_dead_letters",
        method="POST",
        path="/api/v1/dead-letters/discard-matching",
        handler=dead_letters.discard_many,
        summary="Close up to 10,000 dead letters that match for good, with a reason.",
        scope=OPERATIONS,
        body=DiscardManyBody,
        answers={200: ManyAnswer},
        idempotent=True,
    ),
    Route(
        name="settle_dead_letters",
        method="POST",
        path="/api/v1/dead-letters/settle",
        handler=dead_letters.settle,
        summary="Say what became of messages in doubt: sent, delivered or failed.",
        scope=OPERATIONS,
        body=SettleBody,
        answers={200: SettleAnswer},
        idempotent=True,
    ),
)
