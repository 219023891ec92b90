"""Writes the events for status webhooks of one record."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

from notifications.domain.status_events import KIND_OF
from notifications.models import StatusEvent
from notifications.recording.outcomes import Outcome


def write_status_events(outcomes: Iterable[Outcome], took: Collection[int]) -> None:
    """Writes the events of outcomes that settled their message, for subscribed endpoints."""
    StatusEvent.objects.write(
        StatusEvent(
            message_id=outcome.message.id,
            kind=KIND_OF[outcome.status],
            code=_code(outcome)[:200],
            at=outcome.at,
        )
        for outcome in outcomes
        if outcome.message.id in took and outcome.status in KIND_OF
    )


def _code(outcome: Outcome) -> str:
    """Returns why a message failed, is uncertain or was not sent; empty when it was sent."""
    if outcome.result is not None:
        return outcome.dead_code or outcome.result.error_code
    if outcome.dead_code or not outcome.trail:
        return outcome.dead_code
    return str(json.loads(f"[{outcome.trail}]")[-1][2])
