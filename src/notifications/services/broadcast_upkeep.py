"""What broadcasts need again and again: begin what is due, go on with launches, retries and
cancellations, count, and end what is over. Any process does it, as often as anybody likes; what one
begins another may go on with.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import Q

from notifications.delivery.registry import provider_class, provider_keys_for
from notifications.domain.broadcast_lifecycle import BroadcastStatus, settled_status
from notifications.domain.broadcast_pace import add_moment
from notifications.domain.channels import Lane
from notifications.domain.errors import Conflict, InvalidRequest
from notifications.infra import clock
from notifications.models import (
    Broadcast,
    BroadcastNews,
    DeliveryBatch,
    change_broadcast_status,
)
from notifications.services.broadcast_approval import ask_approval, wants_approval
from notifications.services.broadcast_clearing import clear_cancelled
from notifications.services.broadcast_fold import fold_news, reconcile, recount
from notifications.services.broadcast_launch import begin
from notifications.services.broadcast_retry import requeue_all
from notifications.services.broadcast_rounds import carry_on_launches, refuse

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
    """One round, bounded by time; what is left over is done in the next.

    Taking back and counting have their own share of it: a great launch holds neither up.
    """
    begun = begin_due(now=now)
    share = seconds / 2
    launched = carry_on_launches(now=now, seconds=share)
    requeued = requeue_all(until=clock.monotonic() + share)
    cleared = clear_cancelled(now=now, until=clock.monotonic() + share)
    counted = fold_news(now=now, until=clock.monotonic() + seconds)
    for broadcast_id in counted:
        note_pace(broadcast_id, now=now)
    return {
        "begun": begun,
        "launched": launched,
        "requeued": requeued,
        "cleared": cleared,
        "counted": len(counted),
        "ended": settle_all(now=now),
    }


def begin_due(*, now: datetime) -> int:
    """Begins scheduled broadcasts whose time has come; returns how many.

    One that cannot begin (nobody is in its audience any more) is a draft again, with the reason in
    its log. One whose audience has grown beyond what one person may send waits for approval.
    """
    due = Broadcast.objects.filter(status=BroadcastStatus.SCHEDULED.value, scheduled_at__lte=now)
    begun = 0
    for broadcast in due.order_by("scheduled_at").defer("error_log")[:_AT_ONCE]:
        try:
            if wants_approval(broadcast, now=now):
                with transaction.atomic():
                    ask_approval(broadcast.pk, {"scheduled_at": None})
                continue
            begin(broadcast.pk, now=now)
            begun += 1
        except InvalidRequest as error:
            refuse(broadcast.pk, error, now=now)
        except Conflict:  # another process was here before, or somebody cancelled it
            continue
    return begun


def note_pace(broadcast_id: int, *, now: datetime) -> None:
    """Notes how far a broadcast has come, for its rate."""
    row = Broadcast.objects.filter(pk=broadcast_id).defer("error_log").first()
    if row is None:
        return
    settled = row.tally.total - row.tally.pending
    pace = add_moment(row.pace, settled, at=now.timestamp())
    if pace != row.pace:
        Broadcast.objects.filter(pk=broadcast_id).update(pace=pace)


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
    clearing = Q(status=BroadcastStatus.CANCELLED.value, cleared=False)
    rows = Broadcast.objects.filter(Q(status__in=live) | clearing)
    for broadcast in rows.order_by("pk")[:_AT_ONCE]:
        if broadcast.messaged_done and broadcast.tally.pending and not _is_open(broadcast):
            recount(broadcast.pk, now=now, until=clock.monotonic() + 5.0)
        wrong += reconcile(broadcast.pk, now=now) > 0
    return wrong
