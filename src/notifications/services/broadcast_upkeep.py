"""What broadcasts need again and again: begin what is due, go on with launches, retries and
cancellations, count, and end what is over. Any process does it, as often as anybody likes; what one
begins another may go on with.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import connection, transaction

from notifications.delivery.registry import provider_class, provider_keys_for
from notifications.domain.broadcast_lifecycle import BroadcastStatus, settled_status
from notifications.domain.channels import Lane
from notifications.infra import clock
from notifications.models import (
    Broadcast,
    BroadcastNews,
    DeliveryBatch,
    change_broadcast_status,
)
from notifications.services.broadcast_fold import fold_news, reconcile, recount
from notifications.services.broadcast_launch import carry_on_launches

RECEIPTS_WITHIN = timedelta(hours=24)
"""After that, a message without a receipt is taken to have arrived."""
_AT_ONCE = 100
_OUTSTANDING = (
    "SELECT 1 FROM notifications_broadcastrecipient r JOIN notifications_notificationmessage m"
    " ON m.notification_id = r.notification_id"
    " WHERE r.broadcast_id = %s AND r.state = 'sent' AND m.status = 'sent' AND m.channel IN ({})"
    " LIMIT 1"
)
log = structlog.get_logger("carillon.broadcast")


def keep_broadcasts(*, now: datetime, seconds: float = 5.0) -> dict[str, int]:
    """One round, bounded by time; what is left over is done in the next."""
    until = clock.monotonic() + seconds
    launched = carry_on_launches(now=now, seconds=seconds)
    counted = fold_news(now=now, until=until)
    return {"launched": launched, "counted": len(counted), "ended": settle_all(now=now)}


def settle_all(*, now: datetime) -> int:
    """Ends broadcasts whose recipients are all settled; returns how many changed."""
    live = [BroadcastStatus.SENDING.value, BroadcastStatus.SENT.value]
    rows = Broadcast.objects.filter(status__in=live).order_by("pk")
    return sum(settle(row, now=now) for row in rows.defer("error_log")[:_AT_ONCE])


def settle(broadcast: Broadcast, *, now: datetime) -> bool:
    """Moves a broadcast on where its counters allow it; True when it moved."""
    if not (broadcast.messaged_done and broadcast.requeue_done and broadcast.tally.total):
        return False
    if broadcast.tally.pending or _is_open(broadcast):
        return False
    patient = broadcast.handed_over_at is None or now < broadcast.handed_over_at + RECEIPTS_WITHIN
    tally = broadcast.tally
    target = settled_status(tally, receipts_outstanding=patient and _awaits_receipts(broadcast))
    if target is BroadcastStatus.SENT and not patient:
        target = BroadcastStatus.COMPLETED
    if target is None or target == broadcast.status:
        return False
    values: dict[str, Any] = {"handed_over_at": broadcast.handed_over_at or now}
    if target is not BroadcastStatus.SENT:
        values["completed_at"] = now
    with transaction.atomic():
        held = Broadcast.objects.select_for_update().get(pk=broadcast.pk)
        if held.status != broadcast.status or held.tally != tally or not held.requeue_done:
            return False
        return change_broadcast_status(broadcast.pk, target, values=values)


def _is_open(broadcast: Broadcast) -> bool:
    """Whether messages of it still wait or are being sent, or news of them is not counted yet."""
    lanes = list(Lane)
    waiting = DeliveryBatch.objects.filter(lane__in=lanes, source=broadcast.source)
    return waiting.exists() or BroadcastNews.objects.filter(broadcast_id=broadcast.pk).exists()


def _awaits_receipts(broadcast: Broadcast) -> bool:
    channels = [channel for channel in broadcast.channels if has_receipts(channel)]
    if not channels or broadcast.is_test:
        return False
    marks = ", ".join(["%s"] * len(channels))
    with connection.cursor() as cursor:
        cursor.execute(_OUTSTANDING.format(marks), [broadcast.pk, *channels])
        return cursor.fetchone() is not None


def has_receipts(channel: str) -> bool:
    """Whether a provider of the channel tells later what became of a message it took."""
    return any(provider_class(key).capabilities.receipts for key in provider_keys_for(channel))


def check_counts(*, now: datetime) -> int:
    """Holds the counters of living broadcasts against their rows; returns how many were off.

    What has recipients pending although nothing waits any more is counted from its messages.
    """
    live = [BroadcastStatus.SENDING.value, BroadcastStatus.PAUSED.value, BroadcastStatus.SENT.value]
    wrong = 0
    for broadcast in Broadcast.objects.filter(status__in=live).order_by("pk")[:_AT_ONCE]:
        if broadcast.messaged_done and broadcast.tally.pending and not _is_open(broadcast):
            recount(broadcast.pk, now=now, until=clock.monotonic() + 5.0)
        wrong += reconcile(broadcast.pk, now=now) > 0
    return wrong
