"""Cancels the waiting messages of a cancelled broadcast, in parts. Any process may do so.

Meanwhile no worker sends a message of it: its source is stopped from the cancellation until the
broadcast is cleared, which means: no batch, no pending recipient and no running launch.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from notifications.domain.broadcast_lifecycle import BroadcastStatus, RecipientState
from notifications.domain.channels import Lane
from notifications.domain.lifecycle import MessageStatus
from notifications.features.background.items import Items, Rotation
from notifications.features.broadcasts.delivery.fold import Counted, count_keys, write_counts
from notifications.infra import clock
from notifications.models import (
    Broadcast,
    BroadcastChange,
    BroadcastRecipient,
    DeliveryBatch,
    NotificationMessage,
    Work,
    change_status,
    unpack_keys,
)
from notifications.models.sources.recipient_states import lock_counting, lock_launch
from notifications.models.sources.recipients import recipients_without_messages

_clearing = Rotation(100)
_PEOPLE = 2_000
_PENDING = frozenset({MessageStatus.PENDING})


def clear_cancelled(*, now: datetime, until: float) -> int:
    """Cancels the waiting messages of cancelled broadcasts; returns how many were cleared.

    until: the monotonic time at which this stops; the next round does the rest.
    """
    items = Items(Work.CLEAR, now=now)
    rows = Broadcast.objects.filter(status=BroadcastStatus.CANCELLED.value, cleared=False)
    cleared = 0
    for key in _clearing.next(items.runnable(rows)):
        if clock.monotonic() >= until:
            break
        cleared += items.run_one(key, partial(_clear_one, key, now=now, until=until), default=False)
    return cleared


def _clear_one(broadcast_id: int, *, now: datetime, until: float) -> bool:
    row = Broadcast.objects.filter(pk=broadcast_id).defer("error_log").first()
    return row is not None and clear(row, now=now, until=until)


def clear(broadcast: Broadcast, *, now: datetime, until: float | None = None) -> bool:
    """Cancels the waiting messages of one cancelled broadcast; True once none is left."""
    for part in (_cancel_batch, _cancel_recipients, _end_retry):
        while part(broadcast, now=now):
            if until is not None and clock.monotonic() >= until:
                return False
    return _mark_cleared(broadcast)


def _batches(broadcast: Broadcast) -> QuerySet[DeliveryBatch]:
    return DeliveryBatch.objects.filter(lane__in=list(Lane), source=broadcast.source)


def _cancel_batch(broadcast: Broadcast, *, now: datetime) -> bool:
    """Cancels the messages of one batch without an owner; False when there is none."""
    with transaction.atomic():
        free = _batches(broadcast).filter(owner__isnull=True)
        batch = free.select_for_update(skip_locked=True).order_by("due_at", "id").first()
        if batch is None:
            return False
        # Members that were attempted meanwhile are in other batches.
        waiting = NotificationMessage.objects.filter(
            pk__in=unpack_keys(batch.members), batch_id=batch.pk, status=MessageStatus.PENDING
        )
        keys = dict(waiting.values_list("pk", "notification_id"))
        change_status(
            list(keys),
            MessageStatus.CANCELLED,
            reason="broadcast_cancelled",
            at=now,
            only_from=_PENDING,
        )
        batch.delete()
        BroadcastChange.objects.append((broadcast.source, key) for key in keys.values())
    return True


def _cancel_recipients(broadcast: Broadcast, *, now: datetime) -> bool:
    """Cancels pending recipients who have no messages yet; False when there is none."""
    with transaction.atomic():
        lock_launch(broadcast.pk)  # waits for a process that creates messages now
        lock_counting(broadcast.pk, wait=True)
        people = [
            each.person
            for each in recipients_without_messages(broadcast.pk, after=0, limit=_PEOPLE)
        ]
        rows = BroadcastRecipient.objects.filter(
            broadcast=broadcast.pk, recipient_id__in=people, state=RecipientState.PENDING
        )
        changed = rows.update(state=RecipientState.CANCELLED, requeue=False)
        if changed:
            states = Counter({RecipientState.CANCELLED.value: changed})
            write_counts(broadcast.pk, Counted(states=states), now=now)
    return bool(changed)


def _end_retry(broadcast: Broadcast, *, now: datetime) -> bool:
    """Counts recipients whom a retry has marked but not requeued, as their messages say."""
    with transaction.atomic():
        lock_launch(broadcast.pk)
        lock_counting(broadcast.pk, wait=True)
        marked = BroadcastRecipient.objects.filter(broadcast=broadcast.pk, requeue=True)
        rows = dict(marked.values_list("pk", "notification_id")[:_PEOPLE])
        BroadcastRecipient.objects.filter(pk__in=rows).update(requeue=False)
        keys = sorted(key for key in rows.values() if key is not None)
        if keys:
            count_keys(broadcast.pk, keys, now=now)
    return bool(rows)


def _mark_cleared(broadcast: Broadcast) -> bool:
    """Marks the broadcast as cleared unless something of it is left; returns whether it did."""
    with transaction.atomic():
        lock_launch(broadcast.pk)
        uncounted = BroadcastChange.objects.filter(broadcast_id=broadcast.pk).exists()
        held = Broadcast.objects.select_for_update().defer("error_log").get(pk=broadcast.pk)
        values: dict[str, Any] = {"cleared": True, "requeue_done": True}
        if held.job_id is None and not held.recipients.exists():
            # It was never launched: recipient_count is the size of its audience.
            values["cancelled_count"] = held.cancelled_count + held.tally.pending
        elif held.tally.pending > 0:
            return False
        if uncounted or _batches(broadcast).exists():
            return False
        return bool(Broadcast.objects.filter(pk=broadcast.pk).update(**values))
