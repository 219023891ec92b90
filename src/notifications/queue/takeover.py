"""What becomes of the batches that a worker left behind.

Messages in no journal were surely not sent. A worker that died with an empty journal may have died
of one of them: the batch is bisected at each such death, down to single messages, which are
journalled before they are touched. Messages in an open journal are uncertain and follow their
category's crash policy. At a message's second journalled death it is carried alone; the third makes
it a dead letter, `poison`.
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
"""Nobody renewed the lease: the worker's host, or the way to it, is gone."""
_ALONE_FROM = 2
_POISON_FROM = 3
_AT_ONCE = 200
_MOST_OWNERS = 1000
_KEPT_LEASES = 3
"""A late worker's row stays for so many lives of a lease: batches that it took last end before."""
_ENDED_KEPT = timedelta(hours=1)


@dataclass(slots=True)
class TakeoverReport:
    """What one sweep did."""

    batches: int = 0
    uncertain: int = 0
    resent: int = 0
    held: int = 0
    poison: int = 0
    failed: int = 0  # batches that could not be taken over; the next sweep tries again
    lanes: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Dead:
    """A batch that its worker left, locked. journalled and rest: its pending messages."""

    batch_id: int
    row: Abandoned
    reason: str
    journalled: list[int]
    rest: list[int]


@dataclass(frozen=True, slots=True)
class _Owners:
    """Owners whose batches are taken over: `ended` at once, `late` when their leases ran out."""

    ended: list[str]
    late: list[str] | None
    #: Whose rows in the list of workers go once their batches are taken over.
    forgotten: list[str]


def sweep(*, everywhere: bool = False, expired: bool = True) -> TakeoverReport:
    """Takes over what workers left behind.

    Args:
        everywhere: look past the list of workers, at the owners of all batches.
        expired: also take leases that ran out. False in the first seconds after an outage of the
            database, when living workers have not renewed yet.
    """
    report = TakeoverReport()
    owners = _owners(everywhere=everywhere, expired=expired)
    if owners.ended or owners.late or owners.late is None:
        _take_all(owners, report)
    if owners.forgotten and not report.failed:
        # What another transaction has locked is still to be taken over, and found by its owner.
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
    kept = timedelta(seconds=_KEPT_LEASES * environment().lease_seconds)
    forgotten = [
        owner
        for owner, until, ended_at in listed
        if (owner in ended or until <= now - kept)
        and (ended_at is None or ended_at <= now - _ENDED_KEPT)
    ]
    late = [owner for owner, until, _ in listed if until <= now] if expired else []
    return _Owners(sorted(ended), None if everywhere and expired else late, forgotten)


def _take_all(owners: _Owners, report: TakeoverReport) -> None:
    at, after = clock.frozen(), 0
    while ids := batches.statements().abandoned(
        owners.ended, owners.late, at, _AT_ONCE, after=after
    ):
        for batch_id in ids:
            _try_take_over(batch_id, owners, report)
        after = ids[-1]  # behind those that cannot be taken over


def _try_take_over(batch_id: int, owners: _Owners, report: TakeoverReport) -> None:
    """One batch that cannot be taken over holds up no other."""
    try:
        _take_over(batch_id, owners, report)
    except Exception as error:
        if is_unavailable(error):
            raise
        report.failed += 1
        telemetry.log.exception("takeover.failed", batch_id=batch_id)


def _take_over(batch_id: int, owners: _Owners, report: TakeoverReport) -> None:
    with transaction.atomic():
        row = batches.statements().claim_abandoned(batch_id, owners.ended, clock.frozen())
        if row is None:
            return
        waiting = _still_in(batch_id, unpack_keys(row.members))
        journalled = waiting.intersection(unpack_keys(row.journal))
        dead = _Dead(
            batch_id,
            row,
            WORKER_DIED if row.owner in owners.ended else LEASE_EXPIRED,
            sorted(journalled),
            sorted(waiting - journalled),
        )
        _free_rest(dead)
        if dead.journalled:
            _judge(dead, report)
        report.batches += 1
        report.lanes.add(row.lane)


def _still_in(batch_id: int, members: Collection[int]) -> set[int]:
    """The members that wait in this batch. A retry or a deferral that has moved on to a later batch
    is that one's: another worker may have it in hand."""
    rows = NotificationMessage.objects.filter(pk__in=members, status=MessageStatus.PENDING)
    return {key for key, place in rows.values_list("pk", "batch_id") if place == batch_id}


def _free_rest(dead: _Dead) -> None:
    """Frees what was in no journal. The worker may have died of one of these messages where nothing
    was in flight, or where it is not the first that died on the batch: then they are bisected."""
    takeovers = counts.one_more(dead.row.takeovers)
    suspect = not dead.journalled or dead.row.takeovers > 0
    outage = dead.reason == LEASE_EXPIRED and dead.row.takeovers == 0
    if not dead.rest:
        batches.statements().delete([dead.batch_id])
    elif outage or not suspect:
        batches.statements().reset(dead.batch_id, takeovers, len(dead.rest))
    else:
        batches.statements().delete([dead.batch_id])
        middle = (len(dead.rest) + 1) // 2
        halves = [half for half in (dead.rest[:middle], dead.rest[middle:]) if half]
        _put_again(dead, halves, takeovers=takeovers)


def _put_again(dead: _Dead, groups: Sequence[Sequence[int]], *, takeovers: int) -> None:
    """Moves messages that were surely not sent into new batches; single ones are carried alone."""
    row = dead.row
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


def _judge(dead: _Dead, report: TakeoverReport) -> None:
    """Decides about messages that were in the hands of a provider when their worker died."""
    now, keys = database_now(), dead.journalled
    in_doubt = dead.row.channel not in ROW_CHANNELS
    if in_doubt:
        change_status(keys, MessageStatus.UNCERTAIN, reason=dead.reason, at=now)
        report.uncertain += len(keys)
    else:
        MessageEvent.objects.bulk_create(
            MessageEvent(message_id=key, kind="crashed", reason=dead.reason, at=now) for key in keys
        )
    crashes = _crashes(keys)
    origins = origins_of(keys)
    again: dict[bool, list[int]] = defaultdict(list)
    for key, origin in origins.items():
        used_up = origin.attempts + 1 >= origin.max_attempts
        hold = origin.crash_policy == CrashPolicy.HOLD
        if crashes.get(key, 0) >= _POISON_FROM:
            _bury(origin, "poison", now)
            report.poison += 1
        elif in_doubt and (hold or used_up):
            _bury(origin, "uncertain", now)
            report.held += 1
        else:
            again[crashes.get(key, 0) >= _ALONE_FROM].append(key)
    BroadcastChange.objects.append(
        (dead.row.source, origin.notification_id) for origin in origins.values()
    )
    for alone, chosen in again.items():
        _resend(dead, chosen, alone=alone, in_doubt=in_doubt)
        report.resent += len(chosen)


def _crashes(keys: Sequence[int]) -> dict[int, int]:
    events = MessageEvent.objects.filter(
        message_id__in=list(keys), reason__in=(WORKER_DIED, LEASE_EXPIRED)
    )
    counted = events.order_by().values_list("message_id").annotate(Count("id"))
    return dict(counted)


def _bury(origin: MessageOrigin, code: str, now: datetime) -> None:
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


def _resend(dead: _Dead, keys: Sequence[int], *, alone: bool, in_doubt: bool) -> None:
    """Puts messages back under the policy `resend`; an uncertain resend counts as an attempt."""
    groups = [[key] for key in keys] if alone else [list(keys)]
    row = dead.row
    lane, channel, source = row.lane, row.channel, row.source
    ids = batches.insert(
        [
            NewBatch(lane, channel, source, None, group, 0, alone, earliest_expiry(group))
            for group in groups
        ]
    )
    for batch_id, group in zip(ids, groups, strict=True):
        if in_doubt:
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
