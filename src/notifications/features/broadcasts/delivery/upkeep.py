"""The periodic work of broadcasts. It begins due broadcasts, continues launches, retries and
cancellations, counts results, and ends broadcasts whose recipients are settled.

Any process may do it, at any time; another process may continue what one began.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import Q, QuerySet

from notifications.delivery.registry import provider_class, provider_keys_for
from notifications.domain.broadcast_lifecycle import BroadcastStatus, status_when_settled
from notifications.domain.broadcast_pace import add_moment
from notifications.domain.campaigns.lifecycle import CampaignStatus
from notifications.domain.channels import Lane
from notifications.domain.errors import Conflict, InvalidRequest, NotFound
from notifications.features.background.items import Items, Rotation
from notifications.features.broadcasts.delivery.approval import request_approval, requires_approval
from notifications.features.broadcasts.delivery.clearing import clear_cancelled
from notifications.features.broadcasts.delivery.fold import fold_changes, reconcile, recount
from notifications.features.broadcasts.delivery.launch import begin
from notifications.features.broadcasts.delivery.retry import requeue_all
from notifications.features.broadcasts.delivery.rounds import continue_launches, refuse
from notifications.features.broadcasts.delivery.unchanged import lock_unchanged
from notifications.infra import clock
from notifications.models import (
    Broadcast,
    BroadcastChange,
    DeliveryBatch,
    Work,
    change_broadcast_status,
)

RECEIPTS_WITHIN = timedelta(hours=24)
"""After this time a message without a receipt counts as delivered."""
_AT_ONCE = 100
_SCHEDULED = frozenset({BroadcastStatus.SCHEDULED})
MOST_CHANGED = 1_000
_OUTSTANDING = (
    "SELECT 1 FROM notifications_broadcastrecipient r JOIN notifications_notificationmessage m"
    " ON m.notification_id = r.notification_id"
    " WHERE r.broadcast_id = %s AND r.state = 'sent' AND m.status = 'sent' AND m.channel IN ({})"
    " LIMIT 1"
)
_finishing, _checking = Rotation(_AT_ONCE), Rotation(_AT_ONCE)
log = structlog.get_logger("carillon.broadcast")


def maintain_broadcasts(*, now: datetime, seconds: float = 5.0) -> dict[str, int]:
    """Runs one round of a few times `seconds` at most; the next round does the rest.

    Cancelling and counting have their own shares of it, so that a large launch delays neither.
    """
    begun = begin_due(now=now)
    share = seconds / 2
    launched = continue_launches(now=now, seconds=share)
    requeued = requeue_all(until=clock.monotonic() + share)
    cleared = clear_cancelled(now=now, until=clock.monotonic() + share)
    counted = fold_changes(now=now, until=clock.monotonic() + seconds)
    paces = Items(Work.PACE, now=now)
    for broadcast_id in counted - paces.waiting:
        paces.run_one(broadcast_id, partial(note_pace, broadcast_id, now=now), default=None)
    return {
        "begun": begun,
        "launched": launched,
        "requeued": requeued,
        "cleared": cleared,
        "counted": len(counted),
        "ended": finish_all(now=now, changed=counted),
    }


def scheduled_due(now: datetime) -> QuerySet[Broadcast]:
    """Returns the scheduled broadcasts whose time has come. That of a campaign waits for it."""
    free = Q(campaign__isnull=True) | Q(campaign__status=CampaignStatus.RUNNING.value)
    rows = Broadcast.objects.filter(status=BroadcastStatus.SCHEDULED.value, scheduled_at__lte=now)
    return rows.filter(free)


def begin_due(*, now: datetime) -> int:
    """Begins the scheduled broadcasts that are due; returns how many.

    One that cannot begin, such as one whose audience is empty now, becomes a draft again, with the
    reason in its log. One whose audience has grown beyond the limit for one person waits for
    approval.
    """
    items = Items(Work.BEGIN, now=now)
    rows = items.runnable(scheduled_due(now))
    keys = list(rows.order_by("scheduled_at").values_list("pk", flat=True)[:_AT_ONCE])
    return sum(items.run_one(key, partial(_begin_one, key, now=now), default=0) for key in keys)


def _begin_one(broadcast_id: int, *, now: datetime) -> int:
    try:
        broadcast = Broadcast.objects.defer("error_log").get(pk=broadcast_id)
        if requires_approval(broadcast, now=now):
            with transaction.atomic():
                lock_unchanged(broadcast, allowed=_SCHEDULED, due_at=now)
                request_approval(broadcast.pk, {"scheduled_at": None})
            return 0
        begin(broadcast.pk, now=now, only_from=_SCHEDULED, is_due=True)
    except InvalidRequest as error:
        refuse(broadcast_id, error, now=now)
        return 0
    except (Conflict, NotFound, Broadcast.DoesNotExist):
        return 0  # another process has begun it, or it was cancelled, changed or deleted
    return 1


def note_pace(broadcast_id: int, *, now: datetime) -> None:
    """Stores how many recipients are settled now, from which the rate is computed."""
    row = Broadcast.objects.filter(pk=broadcast_id).defer("error_log").first()
    if row is None:
        return
    settled = row.tally.total - row.tally.pending
    pace = add_moment(row.pace, settled, at=now.timestamp())
    if pace != row.pace:
        Broadcast.objects.filter(pk=broadcast_id).update(pace=pace)


def finish_all(*, now: datetime, changed: Collection[int] = ()) -> int:
    """Ends the broadcasts whose recipients are all settled; returns how many changed.

    changed: broadcasts whose counters changed. Besides them a hundred others are checked, in turns.
    """
    items = Items(Work.SETTLE, now=now)
    live = [BroadcastStatus.SENDING.value, BroadcastStatus.SENT.value]
    rows = items.runnable(Broadcast.objects.filter(status__in=live))
    moved = rows.filter(pk__in=sorted(changed)[:MOST_CHANGED]).values_list("pk", flat=True)
    keys = sorted({*_finishing.next(rows), *moved})
    return sum(
        items.run_one(key, partial(_finish_one, key, now=now), default=False) for key in keys
    )


def _finish_one(broadcast_id: int, *, now: datetime) -> bool:
    row = Broadcast.objects.filter(pk=broadcast_id).defer("error_log").first()
    return row is not None and finish_if_settled(row, now=now)


def finish_if_settled(broadcast: Broadcast, *, now: datetime) -> bool:
    """Moves a broadcast to the status that its counters allow; returns whether it moved."""
    if not (broadcast.messaged_done and broadcast.requeue_done and broadcast.tally.total):
        return False
    if broadcast.tally.pending or _is_open(broadcast):
        return False
    waits = broadcast.handed_over_at is None or now < broadcast.handed_over_at + RECEIPTS_WITHIN
    tally = broadcast.tally
    target = status_when_settled(tally, receipts_outstanding=waits and _awaits_receipts(broadcast))
    if target is BroadcastStatus.SENT and not waits:
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
    """Returns whether messages of it wait or are in flight, or changes are not counted yet."""
    lanes = list(Lane)
    waiting = DeliveryBatch.objects.filter(lane__in=lanes, source=broadcast.source)
    return waiting.exists() or BroadcastChange.objects.filter(broadcast_id=broadcast.pk).exists()


def _awaits_receipts(broadcast: Broadcast) -> bool:
    channels = [channel for channel in broadcast.channels if has_receipts(channel)]
    if not channels or broadcast.is_test:
        return False
    marks = ", ".join(["%s"] * len(channels))
    with connection.cursor() as cursor:
        cursor.execute(_OUTSTANDING.format(marks), [broadcast.pk, *channels])
        return cursor.fetchone() is not None


def has_receipts(channel: str) -> bool:
    """Returns whether a provider of the channel sends receipts."""
    return any(provider_class(key).capabilities.receipts for key in provider_keys_for(channel))


def check_counts(*, now: datetime) -> int:
    """Compares the counters of running broadcasts with their rows; returns how many differed.

    A broadcast that has pending recipients but no waiting messages is counted from its messages.
    """
    items = Items(Work.CHECK, now=now)
    live = [BroadcastStatus.SENDING.value, BroadcastStatus.PAUSED.value, BroadcastStatus.SENT.value]
    clearing = Q(status=BroadcastStatus.CANCELLED.value, cleared=False)
    keys = _checking.next(items.runnable(Broadcast.objects.filter(Q(status__in=live) | clearing)))
    return sum(items.run_one(key, partial(_check_one, key, now=now), default=False) for key in keys)


def _check_one(broadcast_id: int, *, now: datetime) -> bool:
    broadcast = Broadcast.objects.filter(pk=broadcast_id).defer("error_log").first()
    if broadcast is None:
        return False
    if broadcast.messaged_done and broadcast.tally.pending and not _is_open(broadcast):
        recount(broadcast.pk, now=now, until=clock.monotonic() + 5.0)
    return reconcile(broadcast.pk, now=now) > 0
