"""The rows of calls to providers."""

from __future__ import annotations

from typing import Any

from notifications.domain.messages import NOT_CALLED, SendResult
from notifications.infra.crypto import seal_json
from notifications.models.delivery.hot import hot
from notifications.recording.outcomes import Outcome


def attempts_of(outcome: Outcome, result: SendResult) -> list[tuple[Any, ...]]:
    """Returns a row for each call: one, or one for each device."""
    if not result.parts:
        return [_attempt(outcome, result, outcome.provider or "", None)]
    return [
        _attempt(outcome, part.result, part.target.provider, part.target.device_id)
        for part in result.parts
        if part.result.error_code not in NOT_CALLED
    ]


def _attempt(
    outcome: Outcome, result: SendResult, provider: str, device_id: int | None
) -> tuple[Any, ...]:
    return (
        outcome.message.id,
        outcome.attempts,
        provider,
        result.verdict.value,
        result.error_code,
        result.error,
        result.provider_message_id,
        None if result.response is None else seal_json(result.response, outcome.key),
        int(result.duration_s * 1000),
        device_id,
        hot().time_value(outcome.at),
    )
