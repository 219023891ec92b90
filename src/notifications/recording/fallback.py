"""Fallback to the next channel, when one finally failed or the message was not read in time.

`options.fallback` is the order of channels after the first. The transaction that records the reason
makes the next message. It is a message like any other, and decided on its own channel. An uncertain
message does not fall back, because it may have arrived. A broadcast to the `first` channel that
accepts it uses fallback too; its retry calls channels again that failed before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from notifications.domain.broadcast_lifecycle import BroadcastStatus
from notifications.domain.channels import Priority, lane_for
from notifications.domain.lifecycle import REACHED, MessageStatus
from notifications.domain.limits import LONGEST_S
from notifications.infra.process import wakeups
from notifications.models import (
    Broadcast,
    DeadLetter,
    NotificationMessage,
    change_status,
    reserve_keys,
)
from notifications.models.sources.broadcast_change import broadcast_of
from notifications.queue import batches
from notifications.queue.leases import NewBatch
from notifications.recording.outcomes import Outcome, trails

_MARK = '"fallback"'
_CHANNEL_REASONS = frozenset(
    {
        "channel_not_in_template",
        "no_contact_point",
        "address_suppressed",
        "channel_off",
        "category_channel_off",
        "country_not_allowed",
        "digest_never",  # the person wants the inbox, which may be the next channel
    }
)
"""Reasons against one channel. Reasons against the message (a cap, no consent, notifications off)
end it on all channels."""


@dataclass(frozen=True, slots=True)
class _Step:
    """The fallback of one notification to its next channel."""

    notification_id: int
    user_id: int | None
    priority: int
    lane: str
    source: str
    channel: str
    due_at: datetime
    expires_at: datetime | None
    why: str

    def batch(self, keys: Sequence[int]) -> NewBatch:
        """Returns a batch of messages on the next channel."""
        return NewBatch(
            self.lane,
            self.channel,
            self.source,
            self.due_at,
            keys,
            expires_at=self.expires_at,
        )


def next_channel(options: Mapping[str, Any], channel: str) -> str:
    """Returns the channel after this one; empty when there is none."""
    chain = list(options.get("fallback", ()))
    place = chain.index(channel) + 1 if channel in chain else 0
    return chain[place] if place < len(chain) else ""


def fall_back(outcomes: Sequence[Outcome], took: set[int]) -> None:
    """Makes messages on the next channel, where one failed or the message must be read in time."""
    steps = []
    for outcome in outcomes:
        text = outcome.message.options
        if text and _MARK in text and outcome.message.id in took:
            step = _step(outcome, json.loads(text))
            if step is not None:
                steps.append(step)
    if steps:
        _make(steps)


def fall_back_from(message: NotificationMessage, *, why: str, at: datetime) -> None:
    """Makes the next message of one that a receipt reported failed, in the caller's transaction."""
    notification = message.notification
    following = next_channel(notification.options or {}, message.channel)
    broadcast_id = broadcast_of(notification.source)
    if following and not _is_cancelled(broadcast_id):
        lane = lane_for(Priority(message.priority), mass=broadcast_id is not None)
        step = _Step(
            message.notification_id,
            message.user_id,
            message.priority,
            lane,
            notification.source,
            following,
            at,
            notification.expires_at,
            f"{message.channel}:{why}",
        )
        _make([step])


def _is_cancelled(broadcast_id: int | None) -> bool:
    if broadcast_id is None:
        return False
    cancelled = Broadcast.objects.filter(pk=broadcast_id, status=BroadcastStatus.CANCELLED.value)
    return cancelled.exists()


def _step(outcome: Outcome, options: Mapping[str, Any]) -> _Step | None:
    message = outcome.message
    following = next_channel(options, message.channel)
    due_at, why = _due(outcome, options) if following else (None, "")
    if due_at is None:
        return None
    return _Step(
        message.notification_id,
        message.user_id,
        message.priority,
        outcome.lease.lane,
        message.source,
        following,
        due_at,
        message.expires_at,
        f"{message.channel}:{why}",
    )


def _due(outcome: Outcome, options: Mapping[str, Any]) -> tuple[datetime | None, str]:
    """Returns when the next channel is due, and why; None when it is not."""
    if outcome.status in REACHED:
        after_s = min(int(options.get("fallback_after_s") or 0), LONGEST_S)
        return (outcome.at + timedelta(seconds=after_s), "unread") if after_s > 0 else (None, "")
    if outcome.status is MessageStatus.FAILED:
        return outcome.at, outcome.dead_code or "failed"
    if outcome.status is MessageStatus.SUPPRESSED:
        reason = str(json.loads(f"[{outcome.trail}]")[-1][2])
        if reason.partition(":")[0] in _CHANNEL_REASONS or reason.startswith("contact_"):
            return outcome.at, reason
    return None, ""


def _make(steps: Sequence[_Step]) -> None:
    """Inserts the messages that do not exist yet, and their batches."""
    rows = NotificationMessage.objects.filter(
        notification_id__in={step.notification_id for step in steps}
    )
    there = {(row.notification_id, row.channel): row for row in rows}
    fresh = [step for step in steps if (step.notification_id, step.channel) not in there]
    if len(fresh) < len(steps):
        _try_again([(step, there.get((step.notification_id, step.channel))) for step in steps])
    if not fresh:
        return
    keys = reserve_keys(len(fresh))
    waiting = [step.batch([key]) for step, key in zip(fresh, keys, strict=True)]
    NotificationMessage.objects.bulk_create(
        NotificationMessage(
            id=key,
            notification_id=step.notification_id,
            user_id=step.user_id,
            channel=step.channel,
            priority=step.priority,
            batch_id=batch_id,
            scheduled_at=step.due_at,
            trail=trails((step.due_at, "fallback", step.why)),
        )
        for step, key, batch_id in zip(fresh, keys, batches.insert(waiting), strict=True)
    )
    wakeups.wake(sorted({step.lane for step in fresh}))


def _try_again(steps: Iterable[tuple[_Step, NotificationMessage | None]]) -> None:
    """Queues messages of a retried broadcast again that failed on the next channel before."""
    for step, message in steps:
        if message is None or not step.source.startswith("broadcast:"):
            continue
        again = change_status(
            [message.pk],
            MessageStatus.PENDING,
            reason=f"fallback:{step.why}",
            at=step.due_at,
            only_from=frozenset({MessageStatus.FAILED}),
            fields={"attempts": 0, "provider": None, "scheduled_at": step.due_at},
        )
        if again:
            (batch_id,) = batches.insert([step.batch(again)])
            NotificationMessage.objects.filter(pk=message.pk).update(batch_id=batch_id)
            DeadLetter.objects.filter(message_id=message.pk, resolved_at__isnull=True).update(
                resolution=DeadLetter.Resolution.REPLAYED,
                resolved_by=step.source,
                resolved_at=step.due_at,
            )
