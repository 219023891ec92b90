"""The rules that must hold after every run."""

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
    """Returns the violated rules; empty when all hold."""
    return [
        *_messages(world),
        *_takeovers(world),
        *_caps(),
        *_digests(),
        *_permits(world),
        *_batches(),
    ]


def _messages(world: World) -> Iterator[str]:
    """Checks that no message is lost, reported wrongly, or sent twice without being uncertain."""
    uncertain = _uncertain_counts()
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
            yield f"lost: message {key} waits forever"
        if status in _NEED_DEAD_LETTER and key not in dead_lettered:
            yield f"lost: message {key} is {status} without a dead letter"
        if channel != "email":
            continue
        if status in _ARRIVED and not arrivals:
            yield f"untrue: message {key} is {status}, and never arrived"
        if arrivals > 1 + uncertain[key]:
            times = f"{arrivals} times, and was uncertain {uncertain[key]} times"
            yield f"sent twice: message {key} arrived {times}"
        if arrivals and not uncertain[key] and status not in _ARRIVED:
            yield f"untrue: message {key} is {status}, and arrived"
        if notification in world.cancelled and arrivals and not uncertain[key]:
            yield f"cancelled, and sent: message {key}"


def _uncertain_counts() -> Counter[int]:
    """Counts how often each message was recorded as uncertain."""
    found: Counter[int] = Counter()
    for key, reason in MessageEvent.objects.values_list("message_id", "reason"):
        found[key] += reason in _UNCERTAIN_REASONS
    attempts = DeliveryAttempt.objects.filter(verdict="uncertain")
    for key in attempts.values_list("message_id", flat=True):
        found[key] += 1
    return found


def _takeovers(world: World) -> Iterator[str]:
    """Checks that no living worker is treated as dead, and that none gets stuck."""
    reasons = dict(WorkerProcess.objects.values_list("owner", "ended_reason"))
    for name in world.stuck:
        yield f"stuck: {name} was ended by its watchdog: {reasons.get(name, '')}"
    if world.disturbed:
        return
    for key, reason in MessageEvent.objects.values_list("message_id", "reason"):
        if reason in _UNCERTAIN_REASONS:
            yield f"taken over from a living worker: message {key} ({reason})"


def _caps() -> Iterator[str]:
    """Checks that no user receives more messages than a cap allows."""
    capped = NotificationMessage.objects.filter(
        notification__category_id=Category.objects.get(key="sim-capped").pk, status__in=_ARRIVED
    )
    received: dict[int, set[int]] = defaultdict(set)
    for user, key in capped.values_list("user_id", "pk"):
        received[user or 0].add(key)
    for user, keys in received.items():
        if len(keys) > CAP:
            yield f"over the cap: user {user} received {len(keys)} messages"


def _digests() -> Iterator[str]:
    """Checks that each bucket is sent once."""
    buckets = DigestBucket.objects.count()
    closed = DigestBucket.objects.exclude(closed_at=None).count()
    sent = Notification.objects.filter(source="digest").count()
    if (buckets, closed, sent) != (3, 3, 3):
        yield f"digests: {buckets} buckets, {closed} closed, {sent} sent"


def _permits(world: World) -> Iterator[str]:
    """Checks that a worker that ended properly has all its permits back."""
    for worker in world.finished:
        if worker.dispatcher.permits.used:
            yield f"permits leaked: {worker.owner} has {worker.dispatcher.permits.used} in use"


def _batches() -> Iterator[str]:
    """Checks that the queue is empty."""
    left = DeliveryBatch.objects.count()
    if left:
        yield f"left in the queue: {left} batches"
