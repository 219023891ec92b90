"""What becomes of a dead worker's batches.

Messages in no journal were surely not sent: their batch is free again. Those in an open journal are
uncertain and follow their category's crash policy. A message that was there when two workers died
is carried alone; the third time it is a dead letter, `poison`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.db.models import Count, F, Value
from django.db.models.functions import Coalesce

from notifications.domain.lifecycle import MessageStatus
from notifications.infra import clock, telemetry
from notifications.models import (
    BroadcastNews,
    CrashPolicy,
    DeadLetter,
    MessageEvent,
    NotificationMessage,
    WorkerProcess,
    change_status,
    unpack_keys,
)
from notifications.models.hot import hot
from notifications.queue import batches
from notifications.queue.leases import NewBatch

ROW_CHANNELS = frozenset({"in_app", "websocket"})
"""Channels that commit with the record: a crash before it means surely not delivered."""

WORKER_DIED = "worker_died"
_ALONE_FROM = 2
_POISON_FROM = 3
_AT_ONCE = 200


@dataclass(slots=True)
class Takeover:
    """What one sweep did."""

    batches: int = 0
    uncertain: int = 0
    resent: int = 0
    held: int = 0
    poison: int = 0
    lanes: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Dead:
    """A dead worker's batch, locked."""

    batch_id: int
    lane: str
    channel: str
    source: str
    members: str
    journal: str
    takeovers: int


def expire_owner(owner: str) -> None:
    """Ends the leases of a worker that its supervisor saw die, so that nobody waits for them."""
    with transaction.atomic():
        batches.statements().expire_owner(owner)
        WorkerProcess.objects.filter(owner=owner).update(lease_until=clock.now())


def sweep(*, everywhere: bool = False) -> Takeover:
    """Takes over what dead workers held. `everywhere` also looks past the list of workers."""
    report = Takeover()
    at = clock.frozen()
    dead = list(
        WorkerProcess.objects.filter(lease_until__lte=clock.now()).values_list("owner", flat=True)
    )
    for owner in [*dead, ""] if everywhere else dead:
        while True:
            ids = batches.statements().expired(owner, at, _AT_ONCE)
            taken = sum(_take_over(batch_id, report) for batch_id in ids)
            if not ids or not taken:
                break
        if owner and not ids:
            WorkerProcess.objects.filter(owner=owner, lease_until__lte=clock.now()).delete()
    if report.batches:
        telemetry.log.warning(
            "leases.taken-over",
            batches=report.batches,
            uncertain=report.uncertain,
            poison=report.poison,
        )
    return report


def _take_over(batch_id: int, report: Takeover) -> bool:
    with transaction.atomic():
        row = batches.statements().claim_expired(batch_id, clock.frozen())
        if row is None:
            return False
        dead = _Dead(batch_id, *row)
        waiting = hot().still_pending(unpack_keys(dead.members))
        journalled = sorted(waiting.intersection(unpack_keys(dead.journal)))
        rest = waiting.difference(journalled)
        if rest:
            batches.statements().reset(batch_id, dead.takeovers + 1)
        else:
            batches.statements().delete([batch_id])
        if journalled:
            _judge(dead, journalled, report)
        report.batches += 1
        report.lanes.add(dead.lane)
    return True


def _judge(dead: _Dead, keys: Sequence[int], report: Takeover) -> None:
    """Decides about messages that were in the hands of a provider when their worker died."""
    now = clock.now()
    in_doubt = dead.channel not in ROW_CHANNELS
    if in_doubt:
        change_status(keys, MessageStatus.UNCERTAIN, reason=WORKER_DIED, at=now)
        report.uncertain += len(keys)
    else:
        MessageEvent.objects.bulk_create(
            MessageEvent(message_id=key, kind="crashed", reason=WORKER_DIED, at=now) for key in keys
        )
    crashes = _crashes(keys)
    rows = NotificationMessage.objects.filter(pk__in=keys).select_related("notification__category")
    again: dict[bool, list[int]] = defaultdict(list)
    for message in rows:
        used_up = message.attempts + 1 >= message.max_attempts
        hold = message.notification.category.crash_policy == CrashPolicy.HOLD
        if crashes[message.pk] >= _POISON_FROM:
            _bury(message, "poison", now)
            report.poison += 1
        elif in_doubt and (hold or used_up):
            _bury(message, "uncertain", now)
            report.held += 1
        else:
            again[crashes[message.pk] >= _ALONE_FROM].append(message.pk)
    BroadcastNews.objects.tell((dead.source, message.notification_id) for message in rows)
    for alone, chosen in again.items():
        _resend(dead, chosen, alone=alone, in_doubt=in_doubt)
        report.resent += len(chosen)


def _crashes(keys: Sequence[int]) -> dict[int, int]:
    events = MessageEvent.objects.filter(message_id__in=list(keys), reason=WORKER_DIED)
    counted = events.order_by().values_list("message_id").annotate(Count("id"))
    return dict(counted)


def _bury(message: NotificationMessage, code: str, now: datetime) -> None:
    if code == "poison":
        change_status([message.pk], MessageStatus.FAILED, reason="poison", at=now)
    attempts = message.attempts + 1
    NotificationMessage.objects.filter(pk=message.pk).update(attempts=attempts)
    DeadLetter.objects.create(
        message_id=message.pk,
        notification_id=message.notification_id,
        channel=message.channel,
        provider=message.provider or "",
        category=message.notification.category.key,
        template_version_id=message.notification.template_version_id,
        code=code,
        last_error="its worker died inside the provider's call",
        attempts=attempts,
        failed_at=now,
    )
    telemetry.log_dead_letter(message.pk, code, attempts)


def _resend(dead: _Dead, keys: Sequence[int], *, alone: bool, in_doubt: bool) -> None:
    """Puts messages back under the policy `resend`; an uncertain resend counts as an attempt."""
    groups = [[key] for key in keys] if alone else [list(keys)]
    ids = batches.put(
        [NewBatch(dead.lane, dead.channel, dead.source, None, g, 0, alone) for g in groups]
    )
    for batch_id, group in zip(ids, groups, strict=True):
        if in_doubt:
            change_status(
                group,
                MessageStatus.PENDING,
                reason="resent_by_crash_policy",
                fields={
                    "attempts": F("attempts") + 1,
                    "batch_id": batch_id,
                    "provider": Coalesce(F("provider"), Value("in_doubt")),
                },
            )
        else:
            NotificationMessage.objects.filter(pk__in=group).update(batch_id=batch_id)
