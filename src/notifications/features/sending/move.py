"""Moves a scheduled notification to another time, and adds messages to new batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from notifications.domain.channels import Priority, lane_for
from notifications.domain.errors import Conflict
from notifications.features.sending.cancel import is_in_flight, lock_pending
from notifications.features.sending.schemas import MoveBody
from notifications.infra.process import wakeups
from notifications.intake.fields import Fields
from notifications.models import (
    Notification,
    NotificationMessage,
    ScheduledStatus,
    change_scheduled,
)
from notifications.models.delivery.origin import earliest_expiry
from notifications.queue import batches
from notifications.queue.leases import NewBatch


def move_scheduled(found: Notification, body: Mapping[str, Any], *, by: str, now: datetime) -> None:
    """Moves a scheduled notification to another time, while all its messages wait.

    Raises:
        InvalidRequest: in_the_past, after its expires_at, or not a time.
        Conflict: not_pending, already_sending.
    """
    due_at = _time_of(found, body, now=now)
    with transaction.atomic():
        rows = NotificationMessage.objects.filter(notification_id=found.pk)
        waiting = lock_pending(rows)
        found.refresh_from_db(fields=["scheduled_status"])
        if found.scheduled_status != ScheduledStatus.PENDING or len(waiting) != rows.count():
            detail = "it was not scheduled, or a part of it no longer waits: send a new one instead"
            raise Conflict(detail, code="not_pending")
        batch_ids = {message.batch_id for message in waiting if message.batch_id}
        if any(map(is_in_flight, waiting)) or any(map(batches.is_leased, batch_ids)):
            raise Conflict("a worker is sending the notification", code="already_sending")
        batches.remove_members(message.batch_id for message in waiting)
        enqueue(waiting, due_at=due_at)
        rows.update(scheduled_at=due_at)
        change_scheduled([found.pk], ScheduledStatus.PENDING, scheduled_at=due_at)


def enqueue(messages: Iterable[NotificationMessage], *, due_at: datetime | None = None) -> None:
    """Adds pending messages without a batch to new batches that are due at a time (None: now)."""
    groups: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for message in messages:
        lane = lane_for(Priority(message.priority))
        groups[lane, message.channel, message.notification.source].append(message.pk)
    made: list[NewBatch] = []
    for (queue, channel, source), keys in groups.items():
        made += batches.batches_of(
            lane=queue,
            channel=channel,
            source=source,
            due_at=due_at,
            keys=sorted(keys),
            expires_at=earliest_expiry(keys),
        )
    for batch, batch_id in zip(made, batches.insert(made), strict=True):
        NotificationMessage.objects.filter(pk__in=batch.keys).update(batch_id=batch_id)
    wakeups.wake({batch.lane for batch in made})


def _time_of(found: Notification, body: Mapping[str, Any], *, now: datetime) -> datetime:
    fields = Fields(body)
    fields.refuse_unknown(MoveBody.__struct_fields__)
    due_at = fields.moment("scheduled_at")
    if fields.body.get("scheduled_at") is None:
        fields.add_error("scheduled_at", "required", "is required: the new time")
    elif due_at is not None and due_at <= now:
        fields.add_error("scheduled_at", "in_the_past", "must be in the future")
    elif due_at is not None and found.expires_at is not None and due_at >= found.expires_at:
        fields.add_error("scheduled_at", "invalid", "must be before expires_at")
    fields.raise_errors()
    assert due_at is not None, "a missing or wrong time is an error"
    return due_at
