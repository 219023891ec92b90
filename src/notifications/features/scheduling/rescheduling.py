"""The periodic work of schedules. It creates due occurrences, queues stuck notifications again, and
deletes cancelled ones. Any number of processes may do this at once."""

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
from notifications.features.retention.messages import delete_notifications, without_open
from notifications.features.retention.queries import EXPIRED, is_emptied
from notifications.features.scheduling.recurring import create_due_occurrences
from notifications.features.scheduling.service import status_of_messages
from notifications.features.sending.cancel import is_in_flight, lock_pending
from notifications.features.sending.move import enqueue
from notifications.infra.conf import environment
from notifications.infra.process import wakeups
from notifications.models import (
    DeadLetter,
    DeliveryBatch,
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
    """Returns scheduled notifications that are due and not sent yet, the oldest first."""
    rows = Notification.objects.filter(
        scheduled_status=ScheduledStatus.PENDING, scheduled_at__lte=now
    )
    return rows.order_by("scheduled_at", "id")


def process_due(*, now: datetime) -> dict[str, int]:
    """Creates the due occurrences of series, and wakes the workers of every lane with due batches.

    Without this the workers would find those batches by themselves, a little later.
    """
    made = create_due_occurrences(now=now)
    lanes = [lane for lane in Lane if batches.is_due(lane, now=now)]
    with transaction.atomic():
        wakeups.wake(lanes)
    found = {"occurrences_made": made, "lanes_woken": len(lanes)}
    if any(found.values()):
        log.info("schedule.processed", **found)
    return found


def retry_stuck(*, now: datetime) -> dict[str, int]:
    """Fixes a hundred scheduled notifications that have been due for five minutes and are in no
    batch.

    Messages without a batch, after a crash or a manual change, are due again in ten minutes. Where
    all messages have ended, the notification gets the status that follows from them.
    """
    return _retry_stuck(now=now, rounds=1)


def retry_all_stuck(*, now: datetime) -> dict[str, int]:
    """Fixes all of them, a hundred at a time, as `retry_stuck` does."""
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
    """Fixes those of these notifications that are still stuck and that no other process fixes."""
    with transaction.atomic():
        stuck = due_notifications(now=now - STUCK_AFTER).exclude(Exists(_waiting()))
        rows = stuck.filter(pk__in=some).select_for_update(skip_locked=True)
        keys = list(rows.values_list("pk", flat=True))
        statuses: dict[int, list[str]] = {key: [] for key in keys}
        found = NotificationMessage.objects.filter(notification_id__in=keys)
        for key, status in found.values_list("notification_id", "status"):
            statuses[key].append(status)
        derived = {key: status_of_messages(each) for key, each in statuses.items()}
        again = [key for key, state in derived.items() if state == ScheduledStatus.PENDING]
        _requeue(again, due_at=now + STUCK_DELAY)
        for state in (ScheduledStatus.SENT, ScheduledStatus.FAILED, ScheduledStatus.WITHHELD):
            ended = [key for key, found_state in derived.items() if found_state == state]
            change_scheduled(ended, state)
    result["rescheduled"] += len(again)
    result["settled"] += len(keys) - len(again)
    return len(keys)


def _waiting() -> QuerySet[NotificationMessage]:
    """Returns the messages that are in an existing batch, or that are uncertain."""
    live = DeliveryBatch.objects.filter(pk=OuterRef("batch_id"))
    waits = Q(status=MessageStatus.PENDING) & Exists(live)
    messages = NotificationMessage.objects.filter(notification_id=OuterRef("pk"))
    return messages.filter(waits | Q(status=MessageStatus.UNCERTAIN))


def _requeue(keys: Sequence[int], *, due_at: datetime) -> None:
    """Puts the pending messages of notifications into batches that are due at a time."""
    waiting = NotificationMessage.objects.filter(
        notification_id__in=keys, status=MessageStatus.PENDING
    )
    enqueue(waiting.select_related("notification"), due_at=due_at)
    waiting.update(scheduled_at=due_at)
    change_scheduled(keys, ScheduledStatus.PENDING, scheduled_at=due_at)


def reschedule(key: int, *, due_at: datetime, by: str) -> None:
    """Makes the pending and failed messages of a notification due at another time.

    Raises:
        Conflict: already_sending, where it is in flight; not_pending, where no message can be
            attempted again; contents_expired, where its texts were emptied.
    """
    with transaction.atomic():
        if is_emptied(key):
            raise Conflict(EXPIRED, code="contents_expired")
        rows = NotificationMessage.objects.filter(notification_id=key)
        waiting = lock_pending(rows)
        held = {message.batch_id for message in waiting if message.batch_id}
        if any(map(is_in_flight, waiting)) or any(map(batches.is_leased, held)):
            raise Conflict("a worker is sending the notification", code="already_sending")
        failed = rows.filter(status=MessageStatus.FAILED).values_list("pk", flat=True)
        replayed = change_status(
            list(failed),
            MessageStatus.PENDING,
            reason=f"replayed by {by}",
            only_from=_AGAIN,
            fields={"attempts": 0, "batch_id": None},
        )
        if not waiting and not replayed:
            raise Conflict(
                "no message of this notification can be attempted again", code="not_pending"
            )
        _close_dead_letters(replayed, by=by, at=due_at)
        _requeue([key], due_at=due_at)


def _close_dead_letters(keys: Iterable[int], *, by: str, at: datetime) -> None:
    letters = DeadLetter.objects.filter(message_id__in=list(keys), resolved_at__isnull=True)
    letters.update(resolution=DeadLetter.Resolution.REPLAYED, resolved_by=by, resolved_at=at)


def clean_up_cancelled(*, now: datetime) -> dict[str, int]:
    """Deletes scheduled notifications that were cancelled long ago, with their messages."""
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
    cancelled = Notification.objects.filter(
        scheduled_status=ScheduledStatus.CANCELLED, cancelled_at__lt=before
    )
    return without_open(cancelled)


def _delete_cancelled(some: Sequence[int], *, before: datetime) -> int:
    with transaction.atomic():
        rows = _cancelled_before(before).filter(pk__in=some)
        keys = list(rows.select_for_update(skip_locked=True).values_list("pk", flat=True))
        delete_notifications(keys)
    return len(keys)
