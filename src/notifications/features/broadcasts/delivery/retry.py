"""Retries failed recipients: marks all of them at once, and queues their messages in parts.

    retry    failed -> pending, for every failed recipient with a retry left: one statement
    requeue  their failed messages wait again, five hundred recipients a transaction

Recipients are marked under the broadcast's launch lock and its counting lock. Of any number of
simultaneous callers one finds a recipient failed, and the others find it pending.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.db import transaction
from django.db.models import Count, Q

from notifications.domain.broadcast_lifecycle import BroadcastStatus, RecipientState
from notifications.domain.broadcast_pace import add_moment
from notifications.domain.channels import Priority, lane_for
from notifications.domain.errors import Conflict
from notifications.domain.lifecycle import MessageStatus
from notifications.features.background.items import Items, Rotation
from notifications.features.broadcasts.delivery.fold import Counted, recount_rows, write_counts
from notifications.features.broadcasts.delivery.intents import (
    CALLS,
    list_option,
    make_job,
    split_channels,
)
from notifications.features.broadcasts.delivery.launch import find_broadcast
from notifications.features.retention.queries import EXPIRED, is_job_emptied
from notifications.infra import clock
from notifications.infra.process import wakeups
from notifications.models import (
    Broadcast,
    BroadcastChange,
    BroadcastRecipient,
    DeadLetter,
    Notification,
    NotificationMessage,
    Work,
    change_broadcast_status,
    change_status,
)
from notifications.models.fields import one_more
from notifications.models.sources.recipient_states import lock_counting, lock_launch
from notifications.queue import batches

MAX_RETRIES = 3
PART = 500
_requeueing = Rotation(100)
RETRY_POLICY = "bulk"
"""Retries after 60, 120 and 240 s, the documented times of a broadcast's retry."""
_RETRIABLE = frozenset(
    {
        BroadcastStatus.SENDING,
        BroadcastStatus.SENT,
        BroadcastStatus.COMPLETED,
        BroadcastStatus.FAILED,
    }
)
_ROW = ("recipient_id", "state", "retries")
_OPEN = frozenset(
    {
        MessageStatus.SENT,
        MessageStatus.DELIVERED,
        MessageStatus.PENDING,
        MessageStatus.UNCERTAIN,
    }
)


def retry(broadcast_id: int, *, now: datetime, max_retries: int = MAX_RETRIES) -> int:
    """Moves failed recipients back to pending and the broadcast to sending; returns how many.

    Recipients that were retried max_retries times stay failed. Returns 0 where none failed.

    Raises:
        NotFound: unknown_broadcast.
        Conflict: broadcast_status, where it is cancelled, paused or not launched;
            contents_expired, where its texts were emptied.
    """
    with transaction.atomic():
        _lock(broadcast_id)
        return _mark(broadcast_id, Q(retries__lt=max_retries), now=now)


@dataclass(frozen=True, slots=True)
class ChosenRetry:
    """The result of a retry of chosen people. Its lists have the order of the request."""

    #: How many are retried.
    retried: int
    #: User ids that are not recipients of this broadcast.
    unknown: list[int]
    not_failed: list[int]
    #: User ids that were already retried MAX_RETRIES times.
    used_up: list[int]


def retry_chosen(broadcast_id: int, people: Sequence[int], *, now: datetime) -> ChosenRetry:
    """Retries only these people, given by user id.

    Raises:
        NotFound, Conflict: as `retry`.
    """
    with transaction.atomic():
        _lock(broadcast_id)
        rows = BroadcastRecipient.objects.filter(broadcast=broadcast_id, recipient_id__in=people)
        found = {person: (state, n) for person, state, n in rows.values_list(*_ROW)}
        named = list(dict.fromkeys(people))
        failed = [p for p in named if p in found and found[p][0] == RecipientState.FAILED]
        wanted = [person for person in failed if found[person][1] < MAX_RETRIES]
        retried = _mark(broadcast_id, Q(recipient_id__in=wanted), now=now) if wanted else 0
        not_failed = set(found) - set(failed)
        return ChosenRetry(
            retried=retried,
            unknown=[person for person in named if person not in found],
            not_failed=[person for person in named if person in not_failed],
            used_up=[person for person in failed if found[person][1] >= MAX_RETRIES],
        )


def _lock(broadcast_id: int) -> None:
    """Locks the launch and the counting of a broadcast until the transaction ends."""
    lock_launch(broadcast_id)
    lock_counting(broadcast_id, wait=True)


def _mark(broadcast_id: int, which: Q, *, now: datetime) -> int:
    """Moves the failed recipients that match `which` to pending; returns how many."""
    broadcast = find_broadcast(broadcast_id)
    failed = BroadcastRecipient.objects.filter(
        which, broadcast=broadcast_id, state=RecipientState.FAILED
    ).order_by()
    reasons: Counter[str] = Counter()
    for error, count in failed.values_list("error").annotate(Count("pk")):
        reasons[error or ""] += count
    retried = reasons.total()
    if not retried:
        return 0
    if broadcast.status not in _RETRIABLE:
        raise _wrong_status(broadcast.status)
    if is_job_emptied(broadcast.job_id):
        raise Conflict(EXPIRED, code="contents_expired")
    failed.update(
        state=RecipientState.PENDING,
        requeue=True,
        retries=one_more("retries"),
        error=None,
        telegram_error=None,
    )
    _uncount(broadcast, reasons, now=now)
    _restart_sending(broadcast, retried, now=now)
    return retried


def _uncount(broadcast: Broadcast, reasons: Counter[str], *, now: datetime) -> None:
    """Subtracts the recipients from the counters; recounts where a caller wrote the rows itself."""
    count = reasons.total()
    if broadcast.job_id is None or broadcast.failed_count < count:
        recount_rows(broadcast.pk)
        return
    counted = Counted(states=Counter({RecipientState.FAILED.value: -count}))
    counted.reasons.subtract({reason: n for reason, n in reasons.items() if reason})
    write_counts(broadcast.pk, counted, now=now)


def _restart_sending(broadcast: Broadcast, retried: int, *, now: datetime) -> None:
    tally = broadcast.tally
    settled = max(0, tally.total - tally.pending - retried)
    values = {
        "requeue_after": 0,
        "requeue_done": False,
        "completed_at": None,
        "handed_over_at": None,
        "sent_at": broadcast.sent_at or now,
        "pace": add_moment(broadcast.pace, settled, at=now.timestamp()),
        "job": broadcast.job or make_job(broadcast, now=now),
    }
    if broadcast.job_id is None:  # a caller wrote it: its rows are its snapshot
        values |= {"snapshot_done": True}
    rows = Broadcast.objects.filter(pk=broadcast.pk, status=BroadcastStatus.SENDING)
    if rows.update(**values):
        return
    if not change_broadcast_status(
        broadcast.pk, BroadcastStatus.SENDING, values=values, only_from=_RETRIABLE
    ):
        raise _wrong_status(find_broadcast(broadcast.pk).status)


def _wrong_status(status: str) -> Conflict:
    return Conflict(f"Cannot retry broadcast with status {status}", code="broadcast_status")


def requeue(
    broadcast_id: int, *, until: float | None = None, policy: str = RETRY_POLICY, size: int = PART
) -> bool:
    """Queues the messages of marked recipients, `size` recipients at a time; True once all are.

    policy: the key of the policy by which a message that fails again is retried.
    """
    while not requeue_part(broadcast_id, policy=policy, size=size):
        if until is not None and clock.monotonic() >= until:
            return False
        if find_broadcast(broadcast_id).status != BroadcastStatus.SENDING:
            return False
    return True


def requeue_all(*, until: float) -> int:
    """Continues every retry that is not finished; returns how many were finished."""
    items = Items(Work.REQUEUE, now=clock.now())
    waiting = Broadcast.objects.filter(status=BroadcastStatus.SENDING.value, requeue_done=False)
    finished = 0
    for key in _requeueing.next(items.runnable(waiting)):
        if clock.monotonic() >= until:
            break
        finished += items.run_one(key, partial(requeue, key, until=until), default=False)
    return finished


def requeue_part(broadcast_id: int, *, policy: str = RETRY_POLICY, size: int = PART) -> bool:
    """Queues one part; True when none is left, or when the broadcast is not sending now."""
    with transaction.atomic():
        lock_launch(broadcast_id)
        broadcast = find_broadcast(broadcast_id)
        if broadcast.requeue_done or broadcast.status != BroadcastStatus.SENDING:
            return True
        marked = BroadcastRecipient.objects.filter(
            broadcast=broadcast_id, requeue=True, recipient_id__gt=broadcast.requeue_after
        )
        rows = list(marked.order_by("recipient_id")[:size])
        if not rows:
            Broadcast.objects.filter(pk=broadcast_id).update(requeue_done=True)
            return True
        found = _messages_of(rows)
        _requeue_messages(broadcast, _choose_messages(broadcast, found), policy=policy)
        _finish_part(broadcast, rows, without=len(found) < len(rows))
    return False


def _messages_of(rows: Sequence[BroadcastRecipient]) -> dict[int, list[NotificationMessage]]:
    keys = [row.notification_id for row in rows if row.notification_id is not None]
    found: dict[int, list[NotificationMessage]] = defaultdict(list)
    for message in NotificationMessage.objects.filter(notification_id__in=keys):
        found[message.notification_id].append(message)
    return found


def _choose_messages(
    broadcast: Broadcast, found: Mapping[int, list[NotificationMessage]]
) -> list[NotificationMessage]:
    """Returns the messages to send again.

    None where a message has reached the recipient meanwhile, or may have. Only the first failed one
    where the channels are used in order.
    """
    chosen: list[NotificationMessage] = []
    for messages in found.values():
        if {MessageStatus(each.status) for each in messages} & _OPEN:
            continue
        failed = [each for each in messages if each.status == MessageStatus.FAILED]
        failed.sort(key=lambda each: each.pk)  # keys rise in the order of the channels
        first = broadcast.delivery == Broadcast.Delivery.FIRST
        chosen += failed[:1] if first else failed
    return chosen


def _requeue_messages(
    broadcast: Broadcast, messages: Sequence[NotificationMessage], *, policy: str
) -> None:
    by_channel: dict[str, list[int]] = defaultdict(list)
    for message in messages:
        by_channel[message.channel].append(message.pk)
    _write_options(broadcast, {each.notification_id for each in messages}, policy=policy)
    now = clock.now()
    lane = lane_for(Priority(broadcast.priority), mass=True)
    for channel, keys in by_channel.items():
        moved = change_status(
            keys,
            MessageStatus.PENDING,
            reason="broadcast_retry",
            at=now,
            only_from=frozenset({MessageStatus.FAILED}),
            fields={
                "attempts": 0,
                "max_attempts": CALLS,
                "provider": None,
                "scheduled_at": now,
            },
        )
        made = batches.batches_of(
            lane=lane, channel=channel, source=broadcast.source, due_at=None, keys=moved
        )
        for batch, batch_id in zip(made, batches.insert(made), strict=True):
            NotificationMessage.objects.filter(pk__in=batch.keys).update(batch_id=batch_id)
        DeadLetter.objects.filter(message_id__in=moved, resolved_at__isnull=True).update(
            resolution=DeadLetter.Resolution.REPLAYED,
            resolved_by=broadcast.source,
            resolved_at=now,
        )
    wakeups.wake([lane])


def _write_options(broadcast: Broadcast, keys: Set[int], *, policy: str) -> None:
    """Gives notifications the options of a retry. Channels that were learned keep their order."""
    _, options = split_channels(broadcast)
    shared = {**options, **list_option(broadcast), "retry_policy": policy}
    rows = Notification.objects.filter(pk__in=keys)
    if broadcast.campaign is None or not broadcast.campaign.channel_choice:
        rows.update(options=shared)
        return
    by_order: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for key, stored in rows.values_list("pk", "options"):
        by_order[tuple((stored or {}).get("fallback", ()))].append(key)
    for order, some in by_order.items():
        own = {**shared, "fallback": list(order)}
        Notification.objects.filter(pk__in=some).update(options=own)


def _finish_part(
    broadcast: Broadcast, rows: Sequence[BroadcastRecipient], *, without: bool
) -> None:
    BroadcastRecipient.objects.filter(pk__in=[row.pk for row in rows]).update(requeue=False)
    BroadcastChange.objects.append(
        (broadcast.source, row.notification_id) for row in rows if row.notification_id
    )
    values: dict[str, object] = {"requeue_after": rows[-1].recipient_id}
    if without:  # recipients without messages: the launch creates them
        values |= {"messaged_done": False, "messaged_after": 0}
    Broadcast.objects.filter(pk=broadcast.pk).update(**values)
