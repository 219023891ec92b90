"""What keeps schedules moving: looking for what is due, mending what got stuck, forgetting what was
cancelled. Any number of processes may do this at once; due rows decide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

import structlog
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from notifications.domain.channels import Lane
from notifications.domain.errors import Conflict
from notifications.domain.lifecycle import MessageStatus
from notifications.features.background.items import Items
from notifications.features.scheduling.recurring import create_due_occurrences
from notifications.features.scheduling.service import status_of_messages
from notifications.features.sending.cancel import is_in_flight, lock_pending
from notifications.features.sending.move import enqueue
from notifications.infra.conf import environment
from notifications.infra.process import wakeups
from notifications.models import (
    DeadLetter,
    DeliveryAttempt,
    DeliveryBatch,
    MessageEvent,
    Notification,
    NotificationMessage,
    ScheduledStatus,
    Work,
    change_scheduled,
    change_status,
)
from notifications.queue import batches

log = structlog.get_logger("carillon.schedules")
STUCK_AFTER = timedelta(minutes=5)
STUCK_DELAY = timedelta(minutes=10)
STUCK_AT_ONCE = 100
_DELETED_AT_ONCE = 1_000
_ROUNDS = 1_000
_AGAIN = frozenset({MessageStatus.FAILED})


def due_notifications(*, now: datetime) -> QuerySet[Notification]:
    """Scheduled notifications whose time has come and of which nothing has left, oldest first."""
    rows = Notification.objects.filter(
        scheduled_status=ScheduledStatus.PENDING, scheduled_at__lte=now
    )
    return rows.order_by("scheduled_at", "id")


def process_due(*, now: datetime) -> dict[str, int]:
    """Makes the occurrences of series whose turn it is, and wakes the workers of every lane in
    which something is due: they would come by themselves."""
    made = create_due_occurrences(now=now)
    lanes = [lane for lane in Lane if batches.is_due(lane, now=now)]
    with transaction.atomic():
        wakeups.wake(lanes)
    found = {"occurrences_made": made, "lanes_woken": len(lanes)}
    if any(found.values()):
        log.info("schedule.processed", **found)
    return found


def retry_stuck(*, now: datetime) -> dict[str, int]:
    """Looks after a hundred scheduled notifications that have been due for five minutes and wait in
    no batch.

    Messages that a crash or a hand left in no batch are due again in ten minutes; where all
    messages are settled, the notification is given the status that follows from them.
    """
    return _retry_stuck(now=now, rounds=1)


def retry_all_stuck(*, now: datetime) -> dict[str, int]:
    """Looks after all of them, a hundred together, as `retry_stuck` does."""
    return _retry_stuck(now=now, rounds=_ROUNDS)


def _retry_stuck(*, now: datetime, rounds: int) -> dict[str, int]:
    stuck = due_notifications(now=now - STUCK_AFTER).exclude(Exists(_waiting()))
    result = {"rescheduled": 0, "settled": 0}
    fix = partial(_fix, now=now, result=result)
    Items(Work.STUCK, now=now).drain(stuck, fix, at_once=STUCK_AT_ONCE, rounds=rounds)
    if any(result.values()):
        log.info("schedule.retried", **result)
    return result


def _fix(some: Sequence[int], *, now: datetime, result: dict[str, int]) -> int:
    """Mends those of these notifications that are still stuck and nobody else mends."""
    with transaction.atomic():
        stuck = due_notifications(now=now - STUCK_AFTER).exclude(Exists(_waiting()))
        rows = stuck.filter(pk__in=some).select_for_update(skip_locked=True)
        keys = list(rows.values_list("pk", flat=True))
        statuses: dict[int, list[str]] = {key: [] for key in keys}
        found = NotificationMessage.objects.filter(notification_id__in=keys)
        for key, status in found.values_list("notification_id", "status"):
            statuses[key].append(status)
        folded = {key: status_of_messages(each) for key, each in statuses.items()}
        again = [key for key, state in folded.items() if state == ScheduledStatus.PENDING]
        _requeue(again, due_at=now + STUCK_DELAY)
        for state in (ScheduledStatus.SENT, ScheduledStatus.FAILED, ScheduledStatus.WITHHELD):
            settled = [key for key, found_state in folded.items() if found_state == state]
            change_scheduled(settled, state)
    result["rescheduled"] += len(again)
    result["settled"] += len(keys) - len(again)
    return len(keys)


def _waiting() -> QuerySet[NotificationMessage]:
    """Messages that are in a live batch, or whose fate is in doubt."""
    live = DeliveryBatch.objects.filter(pk=OuterRef("batch_id"))
    waits = Q(status=MessageStatus.PENDING) & Exists(live)
    messages = NotificationMessage.objects.filter(notification_id=OuterRef("pk"))
    return messages.filter(waits | Q(status=MessageStatus.UNCERTAIN))


def _requeue(keys: Sequence[int], *, due_at: datetime) -> None:
    """Puts the pending messages of notifications into batches due at a time."""
    waiting = NotificationMessage.objects.filter(
        notification_id__in=keys, status=MessageStatus.PENDING
    )
    enqueue(waiting.select_related("notification"), due_at=due_at)
    waiting.update(scheduled_at=due_at)
    change_scheduled(keys, ScheduledStatus.PENDING, scheduled_at=due_at)


def reschedule(key: int, *, due_at: datetime, by: str) -> None:
    """Makes one notification due at another time: what waits, and what failed for good.

    Raises:
        Conflict: already_sending when a worker has it; not_pending when nothing can be tried again.
    """
    with transaction.atomic():
        rows = NotificationMessage.objects.filter(notification_id=key)
        waiting = lock_pending(rows)
        held = {message.batch_id for message in waiting if message.batch_id}
        if any(map(is_in_flight, waiting)) or any(map(batches.is_leased, held)):
            raise Conflict("a worker has the notification in hand", code="already_sending")
        failed = rows.filter(status=MessageStatus.FAILED).values_list("pk", flat=True)
        replayed = change_status(
            list(failed),
            MessageStatus.PENDING,
            reason=f"replayed by {by}",
            only_from=_AGAIN,
            fields={"attempts": 0, "batch_id": None},
        )
        if not waiting and not replayed:
            raise Conflict("nothing of this notification can be tried again", code="not_pending")
        _close_dead_letters(replayed, by=by, at=due_at)
        _requeue([key], due_at=due_at)


def _close_dead_letters(keys: Iterable[int], *, by: str, at: datetime) -> None:
    letters = DeadLetter.objects.filter(message_id__in=list(keys), resolved_at__isnull=True)
    letters.update(resolution=DeadLetter.Resolution.REPLAYED, resolved_by=by, resolved_at=at)


def clean_up_cancelled(*, now: datetime) -> dict[str, int]:
    """Deletes scheduled notifications that were cancelled long ago, with their messages. What was
    sent stays."""
    before = now - timedelta(days=environment().cancelled_retention_days)
    deleted = Items(Work.CLEAN_UP, now=now).drain(
        _cancelled_before(before).order_by("cancelled_at"),
        partial(_delete_cancelled, before=before),
        at_once=_DELETED_AT_ONCE,
        rounds=_ROUNDS,
    )
    if deleted:
        log.info("schedule.cleaned", deleted=deleted)
    return {"deleted": deleted}


def _cancelled_before(before: datetime) -> QuerySet[Notification]:
    return Notification.objects.filter(
        scheduled_status=ScheduledStatus.CANCELLED, cancelled_at__lt=before
    )


def _delete_cancelled(some: Sequence[int], *, before: datetime) -> int:
    with transaction.atomic():
        rows = _cancelled_before(before).filter(pk__in=some)
        keys = list(rows.select_for_update(skip_locked=True).values_list("pk", flat=True))
        found = NotificationMessage.objects.filter(notification_id__in=keys)
        messages = list(found.values_list("pk", flat=True))
        for facts in (MessageEvent, DeliveryAttempt):
            facts.objects.filter(message_id__in=messages).delete()
        Notification.objects.filter(pk__in=keys).delete()
    return len(keys)
