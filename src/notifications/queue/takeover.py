"""Takeover frees the batches of a worker that ended or lost its leases.

A message in no journal was surely not sent. A worker that died with an empty journal may have died
of one of its messages: each such death bisects the batch, down to single messages, which are
journalled before anything else. A message in an open journal is uncertain and follows the crash
policy of its category. After a message's second journalled death it is isolated. The third makes it
a dead letter, `poison`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, F, Value
from django.db.models.functions import Coalesce

from notifications.domain import counts
from notifications.domain.channels import ROW_CHANNELS
from notifications.domain.lifecycle import MessageStatus
from notifications.infra import clock, telemetry
from notifications.infra.conf import environment
from notifications.infra.database.clock_bridge import database_now
from notifications.infra.database.errors import is_unavailable
from notifications.infra.process import identity as processes
from notifications.models import (
    BroadcastChange,
    CrashPolicy,
    DeliveryBatch,
    MessageEvent,
    NotificationMessage,
    WorkerProcess,
    change_status,
    unpack_keys,
)
from notifications.models.delivery.origin import MessageOrigin, earliest_expiry, origins_of
from notifications.models.fields import one_more
from notifications.queue import batches
from notifications.queue.leases import Abandoned, NewBatch

WORKER_DIED = "worker_died"
"""The process is known to have ended."""
LEASE_EXPIRED = "lease_expired"
"""The lease was not renewed: the worker's host failed, or the network to it."""
_ISOLATED_FROM = 2
_POISON_FROM = 3
_AT_ONCE = 200
_MOST_OWNERS = 1000
_LATE_ROW_LEASES = 3
"""The row of a late worker stays for so many lease times. Its last leases end before."""
_ENDED_ROW = timedelta(hours=1)


@dataclass(slots=True)
class TakeoverReport:
    """How many batches and messages one sweep handled."""

    batches: int = 0
    uncertain: int = 0
    resent: int = 0
    held: int = 0
    poison: int = 0
    #: Batches whose takeover failed; the next sweep tries again.
    failed: int = 0
    lanes: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _LeftBatch:
    """A locked batch of a worker that ended or is late."""

    batch_id: int
    row: Abandoned
    reason: str
    #: Pending messages that its journal names.
    journalled: list[int]
    #: Its other pending messages.
    rest: list[int]


@dataclass(frozen=True, slots=True)
class _Owners:
    """Owners whose batches are taken over."""

    #: Their batches are taken over at once.
    ended: list[str]
    #: Their batches are taken over when the leases ran out. None: those of any owner.
    late: list[str] | None
    #: Their rows in the list of workers are deleted after the takeover.
    forgotten: list[str]


def sweep(*, everywhere: bool = False, expired: bool = True) -> TakeoverReport:
    """Frees the batches of workers that ended or lost their leases.

    Args:
        everywhere: check the owners of all batches, not only the list of workers.
        expired: include leases that ran out. False in the first seconds after an outage of the
            database, when living workers have not renewed yet.
    """
    report = TakeoverReport()
    owners = _owners(everywhere=everywhere, expired=expired)
    if owners.ended or owners.late or owners.late is None:
        _free_all(owners, report)
    if owners.forgotten and not report.failed:
        # A batch that another transaction has locked is taken over later, by its owner's row.
        left = DeliveryBatch.objects.filter(owner__in=owners.forgotten).values("owner")
        WorkerProcess.objects.filter(owner__in=owners.forgotten).exclude(owner__in=left).delete()
    if report.batches:
        telemetry.log.warning(
            "leases.taken-over",
            batches=report.batches,
            uncertain=report.uncertain,
            poison=report.poison,
        )
    return report


def _owners(*, everywhere: bool, expired: bool) -> _Owners:
    now = database_now()
    rows = WorkerProcess.objects.order_by("lease_until")
    listed = list(rows.values_list("owner", "lease_until", "ended_at")[:_MOST_OWNERS])
    names = {owner for owner, _, _ in listed}
    if everywhere:
        names.update(batches.statements().owners(_MOST_OWNERS))
    ended = {owner for owner in names if processes.has_ended(owner)}
    grace = timedelta(seconds=_LATE_ROW_LEASES * environment().lease_seconds)
    forgotten = [
        owner
        for owner, until, ended_at in listed
        if (owner in ended or until <= now - grace)
        and (ended_at is None or ended_at <= now - _ENDED_ROW)
    ]
    late = [owner for owner, until, _ in listed if until <= now] if expired else []
    return _Owners(sorted(ended), None if everywhere and expired else late, forgotten)


def _free_all(owners: _Owners, report: TakeoverReport) -> None:
    at, after = clock.frozen(), 0
    while ids := batches.statements().abandoned(
        owners.ended, owners.late, at, _AT_ONCE, after=after
    ):
        for batch_id in ids:
            _try_takeover(batch_id, owners, report)
        after = ids[-1]  # past the batches whose takeover failed


def _try_takeover(batch_id: int, owners: _Owners, report: TakeoverReport) -> None:
    """Frees one batch. A failure does not stop the takeover of others."""
    try:
        _free_batch(batch_id, owners, report)
    except Exception as error:
        if is_unavailable(error):
            raise
        report.failed += 1
        telemetry.log.exception("takeover.failed", batch_id=batch_id)


def _free_batch(batch_id: int, owners: _Owners, report: TakeoverReport) -> None:
    with transaction.atomic():
        row = batches.statements().claim_abandoned(batch_id, owners.ended, clock.frozen())
        if row is None:
            return
        waiting = _still_in(batch_id, unpack_keys(row.members))
        journalled = waiting.intersection(unpack_keys(row.journal))
        left = _LeftBatch(
            batch_id,
            row,
            WORKER_DIED if row.owner in owners.ended else LEASE_EXPIRED,
            sorted(journalled),
            sorted(waiting - journalled),
        )
        _free_rest(left)
        if left.journalled:
            _resolve_journalled(left, report)
        report.batches += 1
        report.lanes.add(row.lane)


def _still_in(batch_id: int, members: Collection[int]) -> set[int]:
    """Returns the members that wait in this batch.

    A retry or a deferral has moved to a later batch, where another worker may send it.
    """
    rows = NotificationMessage.objects.filter(pk__in=members, status=MessageStatus.PENDING)
    return {key for key, place in rows.values_list("pk", "batch_id") if place == batch_id}


def _free_rest(left: _LeftBatch) -> None:
    """Frees the messages that were in no journal.

    The worker may have died of one of them if nothing was in flight, or if an earlier worker died
    on the batch too. Then the batch is bisected.
    """
    takeovers = counts.one_more(left.row.takeovers)
    suspect = not left.journalled or left.row.takeovers > 0
    outage = left.reason == LEASE_EXPIRED and left.row.takeovers == 0
    if not left.rest:
        batches.statements().delete([left.batch_id])
    elif outage or not suspect:
        batches.statements().reset(left.batch_id, takeovers, len(left.rest))
    else:
        batches.statements().delete([left.batch_id])
        middle = (len(left.rest) + 1) // 2
        halves = [half for half in (left.rest[:middle], left.rest[middle:]) if half]
        _insert_again(left, halves, takeovers=takeovers)


def _insert_again(left: _LeftBatch, groups: Sequence[Sequence[int]], *, takeovers: int) -> None:
    """Moves messages that were surely not sent into new batches. Single messages are isolated."""
    row = left.row
    made = [
        NewBatch(
            row.lane,
            row.channel,
            row.source,
            None,
            group,
            takeovers,
            len(group) == 1,
            earliest_expiry(group),
        )
        for group in groups
    ]
    for batch_id, group in zip(batches.insert(made), groups, strict=True):
        NotificationMessage.objects.filter(pk__in=group).update(batch_id=batch_id)


def _resolve_journalled(left: _LeftBatch, report: TakeoverReport) -> None:
    """Decides what happens to messages that were in flight when their worker died."""
    now, keys = database_now(), left.journalled
    uncertain = left.row.channel not in ROW_CHANNELS
    if uncertain:
        change_status(keys, MessageStatus.UNCERTAIN, reason=left.reason, at=now)
        report.uncertain += len(keys)
    else:
        MessageEvent.objects.bulk_create(
            MessageEvent(message_id=key, kind="crashed", reason=left.reason, at=now) for key in keys
        )
    crashes = _crashes(keys)
    origins = origins_of(keys)
    again: dict[bool, list[int]] = defaultdict(list)
    for key, origin in origins.items():
        used_up = origin.attempts + 1 >= origin.max_attempts
        hold = origin.crash_policy == CrashPolicy.HOLD
        if crashes.get(key, 0) >= _POISON_FROM:
            _write_dead_letter(origin, "poison", now)
            report.poison += 1
        elif uncertain and (hold or used_up):
            _write_dead_letter(origin, "uncertain", now)
            report.held += 1
        else:
            again[crashes.get(key, 0) >= _ISOLATED_FROM].append(key)
    BroadcastChange.objects.append(
        (left.row.source, origin.notification_id) for origin in origins.values()
    )
    for alone, chosen in again.items():
        _resend(left, chosen, alone=alone, uncertain=uncertain)
        report.resent += len(chosen)


def _crashes(keys: Sequence[int]) -> dict[int, int]:
    events = MessageEvent.objects.filter(
        message_id__in=list(keys), reason__in=(WORKER_DIED, LEASE_EXPIRED)
    )
    counted = events.order_by().values_list("message_id").annotate(Count("id"))
    return dict(counted)


def _write_dead_letter(origin: MessageOrigin, code: str, now: datetime) -> None:
    if code == "poison":
        change_status([origin.message_id], MessageStatus.FAILED, reason="poison", at=now)
    attempts = counts.one_more(origin.attempts)
    NotificationMessage.objects.filter(pk=origin.message_id).update(attempts=attempts)
    origin.write_dead_letter(
        code=code,
        last_error="its worker died inside the provider's call",
        attempts=attempts,
        failed_at=now,
    )
    telemetry.log_dead_letter(origin.message_id, code, attempts)


def _resend(left: _LeftBatch, keys: Sequence[int], *, alone: bool, uncertain: bool) -> None:
    """Queues messages again by the policy `resend`. An uncertain send counts as an attempt."""
    groups = [[key] for key in keys] if alone else [list(keys)]
    row = left.row
    lane, channel, source = row.lane, row.channel, row.source
    ids = batches.insert(
        [
            NewBatch(lane, channel, source, None, group, 0, alone, earliest_expiry(group))
            for group in groups
        ]
    )
    for batch_id, group in zip(ids, groups, strict=True):
        if uncertain:
            change_status(
                group,
                MessageStatus.PENDING,
                reason="resent_by_crash_policy",
                fields={
                    "attempts": one_more("attempts"),
                    "batch_id": batch_id,
                    "provider": Coalesce(F("provider"), Value("in_doubt")),
                },
            )
        else:
            NotificationMessage.objects.filter(pk__in=group).update(batch_id=batch_id)
