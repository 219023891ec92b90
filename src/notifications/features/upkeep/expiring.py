"""Expires messages that wait beyond their `expires_at`, whatever they wait for.

A worker checks a message when its batch is due. A kill switch, a failing channel, quiet hours or a
retry may delay that for hours. So a periodic loop checks batches by the earliest time in each.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial

from django.db import transaction
from django.db.models import QuerySet

from notifications.engine.path import record_poisoned
from notifications.engine.prepare import prepare
from notifications.features.background.items import Items
from notifications.infra.conf import environment
from notifications.infra.process import identity as processes
from notifications.models import DeliveryBatch, Work
from notifications.models.delivery.hot import hot
from notifications.queue import batches
from notifications.recording.record import record

MOST_BATCHES = 200
"""Batches of one round; the next round does the others."""


def batches_to_expire(now: datetime) -> QuerySet[DeliveryBatch]:
    """Returns the batches of no owner with a message whose time is over."""
    return DeliveryBatch.objects.filter(expires_at__lte=now, owner__isnull=True)


def expire_waiting(*, now: datetime) -> int:
    """Expires the waiting messages whose time is over; returns how many.

    Each batch has its own transaction. Batches that a worker has leased are left to it.
    """
    items = Items(Work.EXPIRE, now=now)
    keys = (
        items.runnable(batches_to_expire(now))
        .order_by("expires_at", "pk")
        .values_list("pk", flat=True)
    )
    owner = processes.own_name("expiry")
    found = list(keys[:MOST_BATCHES])
    return sum(items.run_one(key, partial(_expire, key, owner, now), default=0) for key in found)


def _expire(batch_id: int, owner: str, now: datetime) -> int:
    """Expires messages by the steps of the pipeline, because a device may have been reached."""
    with transaction.atomic():
        lease = batches.lease_free(batch_id, owner=owner, seconds=environment().lease_seconds)
        if lease is None:
            return 0
        times = {
            message.id: message.expires_at
            for message in hot().load_pending(sorted(lease.open_keys))
            if message.batch_id == batch_id and message.expires_at is not None
        }
        over = [key for key, expires_at in times.items() if expires_at <= now]
        if over:
            work = prepare(lease.channel, dict.fromkeys(over, lease))
            record_poisoned(work, owner=owner)
            record(work.outcomes, owner=owner)
        later = (expires_at for expires_at in times.values() if expires_at > now)
        batches.set_expiry(lease, min(later, default=None))
        batches.release([lease], owner)
        return len(over)
