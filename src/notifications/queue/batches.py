"""The interface of the queue, for both databases: insert, lease, journal, give back.

Every function that writes runs in one short transaction of its own, or in the caller's.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Greatest

from notifications.domain.channels import Lane
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.database.clock_bridge import database_now
from notifications.models import BATCH_SIZE, DeliveryBatch, pack_keys
from notifications.queue import postgres, sqlite
from notifications.queue.leases import Lease, LeaseRequest, LockedBatches, NewBatch, QueueSQL

_IMPLEMENTATIONS: dict[str, QueueSQL] = {"postgresql": postgres, "sqlite": sqlite}
JOURNAL_LIMIT = 100
"""How many messages a process may have in flight: so many does one kill leave uncertain."""
SAFE_SHARE = 0.9
"""The share of a lease that an owner relies on. The rest allows for clocks that run differently."""


@functools.cache
def statements() -> QueueSQL:
    """Returns the statements for the default connection. Cached: a look-up costs time."""
    return _IMPLEMENTATIONS[connection.vendor]


def batches_of(
    *,
    lane: str,
    channel: str,
    source: str,
    due_at: datetime | None,
    keys: Sequence[int],
    expires_at: datetime | None = None,
) -> list[NewBatch]:
    """Returns batches of at most BATCH_SIZE keys. expires_at: the earliest expiry of the keys."""
    return [
        NewBatch(
            lane,
            channel,
            source,
            due_at,
            keys[start : start + BATCH_SIZE],
            expires_at=expires_at,
        )
        for start in range(0, len(keys), BATCH_SIZE)
    ]


def insert(batches: Sequence[NewBatch]) -> list[int]:
    """Inserts batches in the caller's transaction. Returns their ids in order."""
    return statements().insert_batches(batches, clock.frozen()) if batches else []


def find_due(lanes: Iterable[Lane]) -> dict[Lane, list[str]]:
    """Returns the lanes that have due batches without an owner, with the sources of each.

    Batches that are not due hide none of them, however many there are.
    """
    found: dict[Lane, list[str]] = {}
    for lane, source in statements().due_sources(list(lanes), clock.frozen()):
        found.setdefault(Lane(lane), []).append(source)
    return found


def lease(
    *,
    owner: str,
    lane: Lane,
    sources: Sequence[str] | None = None,
    seconds: float,
    after_source: str = "",
    budget: int = BATCH_SIZE,
    without_channels: Sequence[str] = (),
    without_sources: Sequence[str] = (),
    isolated: bool = False,
) -> list[Lease]:
    """Leases due batches of a lane, up to `budget` messages.

    The first source after `after_source` comes first. Isolated batches are leased only with
    `isolated`, one at a time. sources: the result of `find_due`, where the caller has it.
    """
    if sources is None:
        sources = find_due([lane]).get(lane, [])
    others = [name for name in sources if name not in without_sources]
    if not others:
        return []
    turn = next((place for place, name in enumerate(others) if name > after_source), 0)
    request = LeaseRequest(
        owner=owner,
        lane=lane,
        sources=others[turn:] + others[:turn],
        seconds=seconds,
        budget=1 if isolated else budget,
        without_channels=without_channels,
        isolated=isolated,
    )
    return _lease(request)


def _lease(request: LeaseRequest) -> list[Lease]:
    requested_at = clock.monotonic()
    leased = statements().lease(request, clock.frozen())
    for each in leased:
        each.renewed_at = requested_at
    return leased


def lease_of_source(
    source: str, *, owner: str, lane: Lane, seconds: float, budget: int = BATCH_SIZE
) -> list[Lease]:
    """Leases due batches of one source, up to `budget` messages, for a caller that waits."""
    request = LeaseRequest(owner=owner, lane=lane, sources=[source], seconds=seconds, budget=budget)
    return _lease(request)


def lock_owned(leases: Sequence[Lease], owner: str) -> LockedBatches:
    """Locks the batches that the owner still has, and marks the others as lost.

    The caller is in a transaction; the fence guards what it writes there. A lease that only ran out
    still belongs to its owner: it may record results, but journal nothing new.
    """
    rows = statements().lock_owned(leases, owner, clock.frozen())
    living = frozenset(key for key, lives in rows if lives)
    lapsed = frozenset(key for key, lives in rows if not lives)
    missing = [each for each in leases if each.batch_id not in living | lapsed]
    busy = frozenset(statements().owned(missing, owner)) if missing else frozenset()
    for each in missing:
        each.lost = each.lost or each.batch_id not in busy
    return LockedBatches(living, lapsed, busy)


def write_journals(leases: Iterable[Lease]) -> None:
    """Writes the journal of each lease to its row. The caller has locked the batches."""
    statements().write_journals({held.batch_id: pack_keys(held.journal) for held in leases})


def renew(leases: Sequence[Lease], owner: str, seconds: float) -> None:
    """Extends leases, also those that ran out, and marks those lost that another owner took over.

    A batch that another transaction has locked is not extended.
    """
    requested_at = clock.monotonic()
    with transaction.atomic():
        renewed = statements().renew(leases, owner, seconds, clock.frozen())
        missing = [each for each in leases if each.batch_id not in renewed]
        ours = statements().owned(missing, owner) if missing else set()
    for each in leases:
        if each.batch_id in renewed:
            each.renewed_at = requested_at
        elif each.batch_id not in ours:
            each.lost = True


def valid_until(leases: Iterable[Lease]) -> float:
    """Returns until when all these leases are surely valid, on the monotonic clock."""
    oldest = min(each.renewed_at for each in leases)
    return oldest + environment().lease_seconds * SAFE_SHARE


def release(leases: Sequence[Lease], owner: str, due_at: datetime | None = None) -> None:
    """Gives back batches whose journal is empty. It counts no takeover and no attempt."""
    with transaction.atomic():
        statements().release(leases, owner, due_at)


def release_unknown(owner: str, known: Sequence[int]) -> None:
    """Gives back batches that carry the owner's name but are not `known` to it.

    The response to their lease was lost.
    """
    with transaction.atomic():
        statements().release_unknown(owner, known)


def finish(leases: Iterable[Lease]) -> None:
    """Deletes batches without open keys. The caller has locked them."""
    done = [held.batch_id for held in leases if not held.open_keys]
    if done:
        statements().delete(done)


def lock(batch_id: int | None) -> None:
    """Locks the row of a batch. Every change of a waiting message does this first."""
    if batch_id is not None:
        statements().lock_batch(batch_id)


def journal_one(lease: Lease, key: int, owner: str) -> bool:
    """Journals one key before its message is processed. Returns False when the lease was lost."""
    with transaction.atomic():
        if lease.batch_id not in lock_owned([lease], owner).living:
            return False
        lease.journal = {*lease.journal, key}
        write_journals([lease])
    return True


def close_stale(leases: Sequence[Lease], owner: str) -> None:
    """Deletes batches whose last members another process has settled."""
    with transaction.atomic():
        held = lock_owned(leases, owner)
        finish(lease for lease in leases if lease.batch_id in held.locked)


def give_back(leases: Sequence[Lease], owner: str, due_at: datetime | None = None) -> None:
    """Releases an owner's batches that have open keys, and deletes those that others have settled.

    Lost and abandoned leases are left alone.
    """
    ours = [held for held in leases if not (held.lost or held.abandoned)]
    left = [held for held in ours if held.open_keys]
    stale = [held for held in ours if held.stale and not held.open_keys]
    if left:
        release(left, owner, due_at)
    if stale:
        close_stale(stale, owner)


def is_due(lane: str, *, now: datetime) -> bool:
    """Returns whether a batch of a lane is due and has no owner."""
    return _free(lane).filter(due_at__lte=now).exists()


def may_lease(
    lane: str, without_channels: Sequence[str], without_sources: Sequence[str], *, now: datetime
) -> bool:
    """Returns whether a lane has a due batch that may be leased, isolated ones not counted."""
    found = _free(lane).filter(due_at__lte=now, isolated=False)
    return (
        found.exclude(channel__in=list(without_channels))
        .exclude(source__in=list(without_sources))
        .exists()
    )


def next_due(lanes: Iterable[str], *, now: datetime) -> datetime | None:
    """Returns when the next batch of these lanes is due; None when no batch waits for its time."""
    found = [
        _free(lane).filter(source=source, due_at__gt=now).order_by("due_at").first()
        for lane, source in statements().sources(list(lanes))
    ]
    return min((batch.due_at for batch in found if batch is not None), default=None)


def _free(lane: str) -> QuerySet[DeliveryBatch]:
    return DeliveryBatch.objects.filter(lane=lane, owner__isnull=True)


def still_owned(leases: Sequence[Lease], owner: str) -> set[int]:
    """Returns the ids of the batches that no other owner took over, expired or not."""
    return statements().owned(leases, owner)


def remove_from_journal(lease: Lease, keys: Collection[int], owner: str) -> bool:
    """Removes the keys of messages that were not sent from a journal.

    Returns False when another transaction has the batch locked at this moment.
    """
    with transaction.atomic():
        held = lock_owned([lease], owner)
        if lease.batch_id in held.busy:
            return False
        rest = lease.journal.difference(keys)
        if lease.batch_id in held.locked:
            statements().write_journals({lease.batch_id: pack_keys(rest)})
    lease.journal = rest
    return True


def lease_free(batch_id: int, *, owner: str, seconds: float) -> Lease | None:
    """Leases a batch without an owner, in the caller's transaction.

    Returns None when it is deleted, leased or locked. For changes of waiting messages that send
    nothing.
    """
    free = DeliveryBatch.objects.filter(pk=batch_id, owner__isnull=True)
    if not free.select_for_update(skip_locked=True).exists():
        return None
    return lease_one(batch_id, owner=owner, seconds=seconds)


def remove_members(batch_ids: Iterable[int | None]) -> None:
    """Reduces the sizes of batches by one for each time that a batch is named.

    Deletes batches that are empty and have no owner. The caller has locked the batches.
    """
    for batch_id, count in sorted(Counter(key for key in batch_ids if key is not None).items()):
        rows = DeliveryBatch.objects.filter(pk=batch_id)
        rows.update(size=Greatest(F("size") - count, 0))
        rows.filter(size=0, owner__isnull=True, journal="").delete()


def set_expiry(lease: Lease, expires_at: datetime | None) -> None:
    """Sets when the next member of a batch expires, in the transaction that leased it."""
    DeliveryBatch.objects.filter(pk=lease.batch_id).update(expires_at=expires_at)


def is_leased(batch_id: int) -> bool:
    """Returns whether a batch has an owner, whose lease may still be valid."""
    return DeliveryBatch.objects.filter(pk=batch_id, owner__isnull=False).exists()


def lease_one(batch_id: int, *, owner: str, seconds: float) -> Lease:
    """Leases a batch that the caller's transaction has just inserted."""
    row = DeliveryBatch.objects.get(pk=batch_id)
    requested_at = clock.monotonic()
    row.owner, row.fence = owner, row.fence + 1
    row.lease_until = database_now() + timedelta(seconds=seconds)
    row.save(update_fields=["owner", "fence", "lease_until"])
    made = Lease(
        row.pk, row.lane, row.channel, row.source, row.fence, row.members, row.size, 0, False
    )
    made.renewed_at = requested_at
    return made
