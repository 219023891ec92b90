"""The queue's interface: put, lease, journal, give back. Both databases stand behind it.

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
"""Unrecorded keys one process may have in providers' hands: what one kill leaves uncertain."""
SAFE_SHARE = 0.9
"""Of a lease's life: the rest is for clocks that do not run alike."""


@functools.cache
def statements() -> QueueSQL:
    """The statements for the default connection, which is looked up once."""
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
    """Keys cut into batches of at most BATCH_SIZE. expires_at: the earliest of theirs."""
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
    """Writes batches in the caller's transaction; returns their ids in order."""
    return statements().insert_batches(batches, clock.frozen()) if batches else []


def find_due(lanes: Iterable[Lane]) -> dict[Lane, list[str]]:
    """The lanes that have batches due in nobody's hands, with the sources of each: however many
    others wait for their time, they hide none."""
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
    """Takes due batches of a lane, up to `budget` messages, starting with the source whose turn it
    is: the first after `after_source`. Isolated batches are taken only when asked for, one at a
    time. sources: those of `waiting`, where it was asked already."""
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
    asked_at = clock.monotonic()
    taken = statements().lease(request, clock.frozen())
    for each in taken:
        each.renewed_at = asked_at
    return taken


def lease_of_source(
    source: str, *, owner: str, lane: Lane, seconds: float, budget: int = BATCH_SIZE
) -> list[Lease]:
    """Takes due batches of one source, up to `budget` messages: for one who waits for them."""
    request = LeaseRequest(owner=owner, lane=lane, sources=[source], seconds=seconds, budget=budget)
    return _lease(request)


def lock_owned(leases: Sequence[Lease], owner: str) -> LockedBatches:
    """Locks the batches that are still ours and marks those lost that another took over.

    The caller is in a transaction. What follows in it is true under the fence. A lease that merely
    ran out is still ours: what is known is recorded, but nothing new may be journalled.
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
    """Writes what each lease's journal says now; the batches are held."""
    statements().write_journals({held.batch_id: pack_keys(held.journal) for held in leases})


def renew(leases: Sequence[Lease], owner: str, seconds: float) -> None:
    """Extends leases, also those that ran out meanwhile, and marks those lost that another took
    over. What another transaction has locked keeps its old end."""
    asked_at = clock.monotonic()
    with transaction.atomic():
        renewed = statements().renew(leases, owner, seconds, clock.frozen())
        missing = [each for each in leases if each.batch_id not in renewed]
        ours = statements().owned(missing, owner) if missing else set()
    for each in leases:
        if each.batch_id in renewed:
            each.renewed_at = asked_at
        elif each.batch_id not in ours:
            each.lost = True


def valid_until(leases: Iterable[Lease]) -> float:
    """Until when, on the monotonic clock, all of these leases surely stand."""
    oldest = min(each.renewed_at for each in leases)
    return oldest + environment().lease_seconds * SAFE_SHARE


def release(leases: Sequence[Lease], owner: str, due_at: datetime | None = None) -> None:
    """Gives batches back whose journal is empty. No takeover is counted and no attempt burnt."""
    with transaction.atomic():
        statements().release(leases, owner, due_at)


def release_unknown(owner: str, known: Sequence[int]) -> None:
    """Gives back batches that carry our name although we know nothing of them: the answer to their
    lease was lost."""
    with transaction.atomic():
        statements().release_unknown(owner, known)


def finish(leases: Iterable[Lease]) -> None:
    """Deletes batches without open keys; the batches are held."""
    done = [held.batch_id for held in leases if not held.open_keys]
    if done:
        statements().delete(done)


def lock(batch_id: int | None) -> None:
    """Locks a batch's row; whoever changes a waiting message from outside does this first."""
    if batch_id is not None:
        statements().lock_batch(batch_id)


def journal_one(lease: Lease, key: int, owner: str) -> bool:
    """Journals one key before anything is done with it; False when the lease was lost."""
    with transaction.atomic():
        if lease.batch_id not in lock_owned([lease], owner).living:
            return False
        lease.journal = {*lease.journal, key}
        write_journals([lease])
    return True


def close_stale(leases: Sequence[Lease], owner: str) -> None:
    """Deletes batches whose last members were settled by somebody else."""
    with transaction.atomic():
        held = lock_owned(leases, owner)
        finish(lease for lease in leases if lease.batch_id in held.locked)


def give_back(leases: Sequence[Lease], owner: str, due_at: datetime | None = None) -> None:
    """Releases what is still open of an owner's batches, and closes what others have settled. A
    lease that was lost, or left to its takeover, is not ours to give."""
    ours = [held for held in leases if not (held.lost or held.abandoned)]
    left = [held for held in ours if held.open_keys]
    stale = [held for held in ours if held.stale and not held.open_keys]
    if left:
        release(left, owner, due_at)
    if stale:
        close_stale(stale, owner)


def is_due(lane: str, *, now: datetime) -> bool:
    """Whether some batch of a lane is due and in nobody's hands."""
    return _free(lane).filter(due_at__lte=now).exists()


def may_lease(
    lane: str, without_channels: Sequence[str], without_sources: Sequence[str], *, now: datetime
) -> bool:
    """Whether a batch of a lane is due that is no other worker's, stopped or carried alone."""
    found = _free(lane).filter(due_at__lte=now, isolated=False)
    return (
        found.exclude(channel__in=list(without_channels))
        .exclude(source__in=list(without_sources))
        .exists()
    )


def next_due(lanes: Iterable[str], *, now: datetime) -> datetime | None:
    """When the next batch of these lanes falls due; None when none waits for its time."""
    found = [
        _free(lane).filter(source=source, due_at__gt=now).order_by("due_at").first()
        for lane, source in statements().sources(list(lanes))
    ]
    return min((batch.due_at for batch in found if batch is not None), default=None)


def _free(lane: str) -> QuerySet[DeliveryBatch]:
    return DeliveryBatch.objects.filter(lane=lane, owner__isnull=True)


def still_owned(leases: Sequence[Lease], owner: str) -> set[int]:
    """Ids of the batches that nobody took over, expired or not."""
    return statements().owned(leases, owner)


def remove_from_journal(lease: Lease, keys: Collection[int], owner: str) -> bool:
    """Takes keys of messages that never left off a journal; False when another transaction has the
    batch locked at this moment."""
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
    """Leases a batch that nobody holds, in the caller's transaction; None when it is gone, leased
    or locked. For work on waiting messages that sends nothing."""
    free = DeliveryBatch.objects.filter(pk=batch_id, owner__isnull=True)
    if not free.select_for_update(skip_locked=True).exists():
        return None
    return lease_one(batch_id, owner=owner, seconds=seconds)


def remove_members(batch_ids: Iterable[int | None]) -> None:
    """Counts messages off their batches, one for each time that a batch is named, and deletes the
    batches of which nothing is left and that nobody holds. The batches are locked."""
    for batch_id, count in sorted(Counter(key for key in batch_ids if key is not None).items()):
        rows = DeliveryBatch.objects.filter(pk=batch_id)
        rows.update(size=Greatest(F("size") - count, 0))
        rows.filter(size=0, owner__isnull=True, journal="").delete()


def set_expiry(lease: Lease, expires_at: datetime | None) -> None:
    """Sets when the next member of a batch expires, in the transaction that leased it."""
    DeliveryBatch.objects.filter(pk=lease.batch_id).update(expires_at=expires_at)


def is_leased(batch_id: int) -> bool:
    """Whether some worker's lease on a batch stands or may still stand."""
    return DeliveryBatch.objects.filter(pk=batch_id, owner__isnull=False).exists()


def lease_one(batch_id: int, *, owner: str, seconds: float) -> Lease:
    """Leases a batch that the caller's transaction has just made."""
    row = DeliveryBatch.objects.get(pk=batch_id)
    asked_at = clock.monotonic()
    row.owner, row.fence = owner, row.fence + 1
    row.lease_until = database_now() + timedelta(seconds=seconds)
    row.save(update_fields=["owner", "fence", "lease_until"])
    made = Lease(
        row.pk, row.lane, row.channel, row.source, row.fence, row.members, row.size, 0, False
    )
    made.renewed_at = asked_at
    return made
