"""Stores the receipts of the simulator with the record, like those of any vendor."""

from __future__ import annotations

from collections.abc import Sequence

from notifications.domain.messages import SendResult
from notifications.models import ProviderCallback
from notifications.recording.outcomes import Outcome


def store_simulated_receipts(outcomes: Sequence[Outcome]) -> None:
    """Stores the receipts of messages that went to the simulator. They are applied afterwards."""
    for outcome in outcomes:
        kinds = _receipts_of(outcome.result) if outcome.result is not None else ()
        if not kinds or outcome.outbound is None:
            continue
        reference = outcome.outbound.reference
        address = "" if outcome.outbound.targets else outcome.outbound.recipient
        ProviderCallback.objects.report(
            provider="simulator",
            name=f"{reference} {outcome.attempts}",
            events=[{"event": k, "reference": reference, "address": address} for k in kinds],
            at=outcome.at,
        )


def _receipts_of(result: SendResult) -> tuple[str, ...]:
    if result.parts:
        return next((part.result.receipts for part in result.parts if part.result.receipts), ())
    return result.receipts
