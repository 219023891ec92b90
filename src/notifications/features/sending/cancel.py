"""Cancels waiting messages: locks their batches, then makes one conditional update."""

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

    only_if_nothing_sent: cancels nothing if a part of the notification was sent.

    Raises:
        Conflict: already_sending: a message is in flight; not_pending: no message waits, or a part
            was sent (with only_if_nothing_sent).
    """
    with transaction.atomic():
        waiting = lock_pending(found.messages.all())
        in_flight = [message.channel for message in waiting if is_in_flight(message)]
        if in_flight:
            detail = f"{', '.join(in_flight)} is in flight; get the status of the notification"
            raise Conflict(detail, code="already_sending")
        if not waiting:
            raise Conflict("no message of this notification is waiting", code="not_pending")
        if only_if_nothing_sent:
            _check_whole(found)
        moved = _cancel(waiting, by=by, now=now)
        _mark_cancelled([found.pk], now=now)
        BroadcastChange.objects.append([(found.source, found.pk)])
    return [message.channel for message in waiting if message.pk in moved]


def cancel_many(notification_keys: Sequence[int], *, by: str, now: datetime) -> int:
    """Cancels the waiting messages of notifications that have none in flight.

    Returns how many notifications it cancelled. It is made for about 1,000 at a time.
    """
    with transaction.atomic():
        rows = NotificationMessage.objects.filter(notification_id__in=notification_keys)
        waiting = lock_pending(rows)
        in_flight = {message.notification_id for message in waiting if is_in_flight(message)}
        free = [message for message in waiting if message.notification_id not in in_flight]
        moved = _cancel(free, by=by, now=now)
        keys = {message.notification_id for message in free if message.pk in moved}
        _mark_cancelled(list(keys), now=now)
    return len(keys)


def withdraw(
    rows: QuerySet[NotificationMessage], *, by: str, now: datetime
) -> tuple[int, list[int]]:
    """Cancels all waiting messages that are not in flight, in the caller's transaction.

    Returns how many it cancelled, and the keys of those in flight.
    """
    waiting = lock_pending(rows)
    in_flight = [message.pk for message in waiting if is_in_flight(message)]
    moved = _cancel([m for m in waiting if m.pk not in set(in_flight)], by=by, now=now)
    keys = sorted({m.notification_id for m in waiting if m.pk in moved})
    _mark_cancelled(keys, now=now)
    sources = Notification.objects.filter(pk__in=keys).values_list("source", "pk")
    BroadcastChange.objects.append(sources)  # a broadcast counts them
    return len(moved), in_flight


def lock_pending(rows: QuerySet[NotificationMessage]) -> list[NotificationMessage]:
    """Locks the batches of the pending messages and returns these messages.

    The journal and a cancellation lock the same batch row. The caller is in a transaction.
    """
    waiting = rows.filter(status=MessageStatus.PENDING)
    locked_batches: set[int] = set()
    locked = list(waiting.all())
    # A retry may move a message to a new batch while this waits for the lock of the old one. So it
    # locks until it has the locks of all batches that the messages are in now.
    while wanted := {m.batch_id for m in locked if m.batch_id} - locked_batches:
        for batch_id in sorted(wanted):
            batches.lock(batch_id)
        locked_batches |= wanted
        locked = list(waiting.all())
    return locked


def is_in_flight(message: NotificationMessage) -> bool:
    """Returns whether an open journal names the message: `processing` is never stored."""
    if message.status != MessageStatus.PENDING or message.batch_id is None:
        return False
    journal = DeliveryBatch.objects.filter(pk=message.batch_id).values_list("journal", flat=True)
    return message.pk in unpack_keys(journal.first() or "")


def _check_whole(found: Notification) -> None:
    """Raises Conflict if a part of a notification was sent. The caller has locked the rest."""
    sent = found.messages.filter(status__in=[*REACHED, MessageStatus.DIGESTED])
    channels = sorted(sent.values_list("channel", flat=True))
    if channels:
        detail = f"{', '.join(channels)} of this notification was sent"
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
