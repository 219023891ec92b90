"""What may be after a run, whatever happened in it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from carillon.sim.scenario import CAP, World
from notifications.domain.lifecycle import MessageStatus
from notifications.models import (
    Category,
    DeadLetter,
    DeliveryAttempt,
    DeliveryBatch,
    DigestBucket,
    MessageEvent,
    Notification,
    NotificationMessage,
    WorkerProcess,
)

_UNCERTAIN_REASONS = frozenset({"worker_died", "lease_expired"})
_NEED_DEAD_LETTER = frozenset({MessageStatus.FAILED, MessageStatus.UNCERTAIN})
_ARRIVED = frozenset({MessageStatus.SENT, MessageStatus.DELIVERED})


def find_violations(world: World) -> list[str]:
    """What is not as it may be; empty: nothing."""
    return [
        *_messages(world),
        *_takeovers(world),
        *_caps(),
        *_digests(),
        *_permits(world),
        *_batches(),
    ]


def _messages(world: World) -> Iterator[str]:
    """Nothing is lost, told untruly, or sent twice without a doubt on record."""
    doubts = _uncertain_counts()
    dead_lettered = set(DeadLetter.objects.values_list("message_id", flat=True))
    rows = NotificationMessage.objects.filter(notification_id__in=world.accepted)
    found = set(rows.values_list("notification_id", flat=True))
    for key in set(world.accepted) - found:
        yield f"lost: notification {key} was accepted and is not there"
    for key, channel, status, notification in rows.values_list(
        "pk", "channel", "status", "notification_id"
    ):
        arrivals = world.network.arrived[key]
        if status == MessageStatus.PENDING:
            yield f"lost: message {key} waits for ever"
        if status in _NEED_DEAD_LETTER and key not in dead_lettered:
            yield f"lost: message {key} is {status} without a dead letter"
        if channel != "email":
            continue
        if status in _ARRIVED and not arrivals:
            yield f"untrue: message {key} is {status}, and never arrived"
        if arrivals > 1 + doubts[key]:
            yield f"sent twice: message {key} arrived {arrivals} times, with {doubts[key]} doubts"
        if arrivals and not doubts[key] and status not in _ARRIVED:
            yield f"untrue: message {key} is {status}, and arrived"
        if notification in world.cancelled and arrivals and not doubts[key]:
            yield f"arrivals back, and sent: message {key}"


def _uncertain_counts() -> Counter[int]:
    """How often it was noted of each message that nobody knows whether it arrived."""
    found: Counter[int] = Counter()
    for key, reason in MessageEvent.objects.values_list("message_id", "reason"):
        found[key] += reason in _UNCERTAIN_REASONS
    uncertain = DeliveryAttempt.objects.filter(verdict="uncertain")
    for key in uncertain.values_list("message_id", flat=True):
        found[key] += 1
    return found


def _takeovers(world: World) -> Iterator[str]:
    """No worker that lives and beats is arrivals for dead, and none comes to a standstill."""
    reasons = dict(WorkerProcess.objects.values_list("owner", "ended_reason"))
    for name in world.stuck:
        yield f"stuck: {name} was ended by its watchdog: {reasons.get(name, '')}"
    if world.disturbed:
        return
    for key, reason in MessageEvent.objects.values_list("message_id", "reason"):
        if reason in _UNCERTAIN_REASONS:
            yield f"arrivals over from a living worker: message {key} ({reason})"


def _caps() -> Iterator[str]:
    """Nobody is told more often than a cap allows."""
    capped = NotificationMessage.objects.filter(
        notification__category_id=Category.objects.get(key="sim-capped").pk, status__in=_ARRIVED
    )
    told: dict[int, set[int]] = defaultdict(set)
    for user, key in capped.values_list("user_id", "pk"):
        told[user or 0].add(key)
    for user, keys in told.items():
        if len(keys) > CAP:
            yield f"over the cap: person {user} was told {len(keys)} times"


def _digests() -> Iterator[str]:
    """Each bucket goes out once."""
    buckets = DigestBucket.objects.count()
    closed = DigestBucket.objects.exclude(closed_at=None).count()
    sent = Notification.objects.filter(source="digest").count()
    if (buckets, closed, sent) != (3, 3, 3):
        yield f"digests: {buckets} buckets, {closed} closed, {sent} sent"


def _permits(world: World) -> Iterator[str]:
    """A worker that has ended in good order has every permit back."""
    for worker in world.finished:
        if worker.dispatcher.permits.used:
            yield f"permits leaked: {worker.owner} has {worker.dispatcher.permits.used} in use"


def _batches() -> Iterator[str]:
    """Nothing is left in the queue."""
    left = DeliveryBatch.objects.count()
    if left:
        yield f"left in the queue: {left} batches"
