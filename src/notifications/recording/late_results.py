"""Late results come after the lease was lost. They resolve uncertain messages and nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from notifications.domain.lifecycle import MessageStatus
from notifications.infra import clock
from notifications.models import (
    BroadcastChange,
    DeadLetter,
    DeliveryBatch,
    LateOutcome,
    MessageEvent,
    NotificationMessage,
    change_status,
    unpack_keys,
)
from notifications.queue import batches
from notifications.recording.outcomes import Outcome, error_text


def store_late_results(outcomes: Iterable[Outcome]) -> int:
    """Stores late results and returns how many. It changes no message."""
    rows = [
        LateOutcome(
            message_id=outcome.message.id,
            provider=outcome.provider or "",
            verdict=outcome.result.verdict,
            provider_message_id=outcome.result.provider_message_id,
            error=error_text(outcome.result) or "",
            at=outcome.at,
        )
        for outcome in outcomes
        if outcome.result is not None
    ]
    LateOutcome.objects.bulk_create(rows)
    return len(rows)


def resolve_uncertain(outcomes: Iterable[Outcome]) -> int:
    """Marks uncertain messages as sent that a late result reports as sent. Returns how many.

    A waiting resend of such a message is stopped unless it is already in flight.
    """
    resolved = 0
    for outcome in outcomes:
        if outcome.result is not None and outcome.result.success:
            resolved += _resolve(outcome)
    return resolved


def _resolve(outcome: Outcome) -> bool:
    key = outcome.message.id
    with transaction.atomic():
        message = NotificationMessage.objects.get(pk=key)
        batches.lock(message.batch_id)
        if not _is_open(key):
            return False
        moved = change_status(
            [key],
            MessageStatus.SENT,
            reason="late_outcome",
            only_from=frozenset({MessageStatus.PENDING, MessageStatus.UNCERTAIN}),
            fields={
                "provider": outcome.provider,
                "provider_message_id": outcome.result and outcome.result.provider_message_id,
                "sent_at": outcome.at,
            },
        )
        if moved:
            BroadcastChange.objects.append(
                [(outcome.message.source, outcome.message.notification_id)]
            )
            DeadLetter.objects.filter(message_id=key, resolved_at__isnull=True).update(
                resolution=DeadLetter.Resolution.SETTLED,
                resolution_reason="a late result reported it as sent",
                resolved_at=clock.now(),
            )
    return bool(moved)


def _is_open(key: int) -> bool:
    """Returns whether the message was uncertain and is not in flight again."""
    if not MessageEvent.objects.filter(message_id=key, kind=MessageStatus.UNCERTAIN).exists():
        return False
    batch_id = NotificationMessage.objects.values_list("batch_id", flat=True).get(pk=key)
    if batch_id is None:
        return True
    journals = DeliveryBatch.objects.filter(pk=batch_id).values_list("journal", flat=True)
    return key not in unpack_keys(journals.first() or "")
