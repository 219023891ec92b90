"""Taking back what has not left yet: the batches' locks, then the one conditional update."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from notifications.domain.errors import Conflict
from notifications.domain.lifecycle import REACHED, MessageStatus
from notifications.models import (
    BroadcastChange,
    Notification,
    NotificationMessage,
    ScheduledStatus,
    change_scheduled,
    change_status,
    unpack_keys,
)
from notifications.models.delivery.batch import DeliveryBatch
from notifications.queue import batches

_PENDING = frozenset({MessageStatus.PENDING})


def cancel_waiting(
    found: Notification, *, by: str, now: datetime, only_if_nothing_sent: bool = False
) -> list[str]:
    """Cancels a notification's waiting messages; returns their channels.

    only_if_nothing_sent: cancels nothing when a part of it has been sent.

    Raises:
        Conflict: already_sending when a provider has one of them; not_pending when nothing waits,
            or with only_if_nothing_sent.
    """
    with transaction.atomic():
        waiting = lock_pending(found.messages.all())
        held = [message.channel for message in waiting if is_in_flight(message)]
        if held:
            detail = f"{', '.join(held)} is in a provider's hands; ask for its status instead"
            raise Conflict(detail, code="already_sending")
        if not waiting:
            raise Conflict("nothing of this notification is waiting any more", code="not_pending")
        if only_if_nothing_sent:
            _check_whole(found)
        moved = _cancel(waiting, by=by, now=now)
        _mark_cancelled([found.pk], now=now)
        BroadcastChange.objects.append([(found.source, found.pk)])
    return [message.channel for message in waiting if message.pk in moved]


def cancel_many(notification_keys: Sequence[int], *, by: str, now: datetime) -> int:
    """Cancels what waits of these notifications and is in nobody's hands; returns how many
    notifications it took back. Meant for a thousand at a time."""
    with transaction.atomic():
        rows = NotificationMessage.objects.filter(notification_id__in=notification_keys)
        waiting = lock_pending(rows)
        held = {message.notification_id for message in waiting if is_in_flight(message)}
        free = [message for message in waiting if message.notification_id not in held]
        moved = _cancel(free, by=by, now=now)
        keys = {message.notification_id for message in free if message.pk in moved}
        _mark_cancelled(list(keys), now=now)
    return len(keys)


def lock_pending(rows: QuerySet[NotificationMessage]) -> list[NotificationMessage]:
    """The pending messages of some rows, their batches locked: journal and cancel lock the same
    row. The caller is in a transaction."""
    waiting = rows.filter(status=MessageStatus.PENDING)
    held: set[int] = set()
    locked = list(waiting.all())
    # A retry may move a message to a new batch while its old one is waited for: lock until the
    # batches that the messages are in now are all held.
    while wanted := {m.batch_id for m in locked if m.batch_id} - held:
        for batch_id in sorted(wanted):
            batches.lock(batch_id)
        held |= wanted
        locked = list(waiting.all())
    return locked


def is_in_flight(message: NotificationMessage) -> bool:
    """Whether an open journal names the message: `processing` is derived, never written."""
    if message.status != MessageStatus.PENDING or message.batch_id is None:
        return False
    journal = DeliveryBatch.objects.filter(pk=message.batch_id).values_list("journal", flat=True)
    return message.pk in unpack_keys(journal.first() or "")


def _check_whole(found: Notification) -> None:
    """That nothing of a notification was sent. What waits of it is locked: no more is sent."""
    left = found.messages.filter(status__in=[*REACHED, MessageStatus.DIGESTED])
    channels = sorted(left.values_list("channel", flat=True))
    if channels:
        detail = f"{', '.join(channels)} of this notification has been sent"
        raise Conflict(detail, code="not_pending")


def _cancel(messages: Sequence[NotificationMessage], *, by: str, now: datetime) -> set[int]:
    moved = change_status(
        [message.pk for message in messages],
        MessageStatus.CANCELLED,
        reason=f"cancelled by {by}",
        at=now,
        only_from=_PENDING,
    )
    gone = set(moved)
    batches.remove_members(message.batch_id for message in messages if message.pk in gone)
    return gone


def _mark_cancelled(keys: Sequence[int], *, now: datetime) -> int:
    return change_scheduled(keys, ScheduledStatus.CANCELLED, cancelled_at=now)
