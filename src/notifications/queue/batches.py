"""The queue's interface: put, lease, journal, give back. Both databases stand behind it.

Every function that writes runs in one short transaction of its own, or in the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import QuerySet

from notifications.domain.channels import Lane
from notifications.infra import clock
from notifications.models import BATCH_SIZE, DeliveryBatch, pack_keys
from notifications.queue import postgres, sqlite
from notifications.queue.leases import Lease, LeaseRequest, NewBatch, QueueSQL

_IMPLEMENTATIONS: dict[str, QueueSQL] = {"postgresql": postgres, "sqlite": sqlite}
JOURNAL_LIMIT = 100
"""Unrecorded keys one process may have in providers' hands: what one kill leaves uncertain."""


def statements() -> QueueSQL:
    """The statements for the default connection."""
    return _IMPLEMENTATIONS[connection.vendor]


def batches_of(
    *, lane: str, channel: str, source: str, due_at: datetime | None, keys: Sequence[int]
) -> list[NewBatch]:
    """Keys cut into batches of at most BATCH_SIZE."""
    return [
        NewBatch(lane, channel, source, due_at, keys[start : start + BATCH_SIZE])
        for start in range(0, len(keys), BATCH_SIZE)
    ]


def put(batches: Sequence[NewBatch]) -> list[int]:
    """Writes batches in the caller's transaction; returns their ids in order."""
    return statements().insert_batches(batches, clock.frozen()) if batches else []


def waiting(lanes: Iterable[Lane]) -> dict[Lane, list[str]]:
    """The lanes that have batches, due or not, with the sources of each."""
    found: dict[Lane, list[str]] = {}
    for lane, source in statements().sources(list(lanes)):
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
        sources = waiting([lane]).get(lane, [])
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
    with transaction.atomic():
        return statements().lease(request, clock.frozen())


def lease_of_source(
    source: str, *, owner: str, lane: Lane, seconds: float, budget: int = BATCH_SIZE
) -> list[Lease]:
    """Takes due batches of one source, up to `budget` messages: for one who waits for them."""
    request = LeaseRequest(owner=owner, lane=lane, sources=[source], seconds=seconds, budget=budget)
    with transaction.atomic():
        return statements().lease(request, clock.frozen())


def hold(leases: Sequence[Lease], owner: str) -> set[int]:
    """Locks the batches whose lease still stands and marks the others lost; returns the ids held.

    The caller is in a transaction. What follows in it is true under the fence.
    """
    held = statements().hold(leases, owner, clock.frozen())
    for each in leases:
        each.lost = each.lost or each.batch_id not in held
    return held


def write_journals(leases: Iterable[Lease]) -> None:
    """Writes what each lease's journal says now; the batches are held."""
    statements().write_journals({held.batch_id: pack_keys(held.journal) for held in leases})


def renew(leases: Sequence[Lease], owner: str, seconds: float) -> None:
    """Extends leases and marks those that were lost."""
    with transaction.atomic():
        kept = statements().renew(leases, owner, seconds, clock.frozen())
    for each in leases:
        each.lost = each.lost or each.batch_id not in kept


def release(leases: Sequence[Lease], owner: str, due_at: datetime | None = None) -> None:
    """Gives batches back whose journal is empty. No takeover is counted and no attempt burnt."""
    with transaction.atomic():
        statements().release(leases, owner, due_at)


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
        if not hold([lease], owner):
            return False
        lease.journal = {*lease.journal, key}
        write_journals([lease])
    return True


def close_stale(leases: Sequence[Lease], owner: str) -> None:
    """Deletes batches whose last members were settled by somebody else."""
    with transaction.atomic():
        held = hold(leases, owner)
        finish(lease for lease in leases if lease.batch_id in held)


def is_due(lane: str, *, now: datetime) -> bool:
    """Whether some batch of a lane is due and in nobody's hands."""
    return _free(lane).filter(due_at__lte=now).exists()


def next_due(lanes: Iterable[str], *, now: datetime) -> datetime | None:
    """When the next batch of these lanes falls due; None when none waits for its time."""
    found = [
        _free(lane).filter(source=source, due_at__gt=now).order_by("due_at").first()
        for lane, source in statements().sources(list(lanes))
    ]
    return min((batch.due_at for batch in found if batch is not None), default=None)


def _free(lane: str) -> QuerySet[DeliveryBatch]:
    return DeliveryBatch.objects.filter(lane=lane, owner__isnull=True)


def are_ours(batch_ids: Sequence[int], owner: str) -> bool:
    """Whether the owner's name still stands on any of these batches, expired or not."""
    return DeliveryBatch.objects.filter(pk__in=batch_ids, owner=owner).exists()


def is_held(batch_id: int) -> bool:
    """Whether some worker's lease on a batch stands or may still stand."""
    return DeliveryBatch.objects.filter(pk=batch_id, owner__isnull=False).exists()


def lease_one(batch_id: int, *, owner: str, seconds: float) -> Lease:
    """Leases a batch that the caller's transaction has just made."""
    row = DeliveryBatch.objects.get(pk=batch_id)
    row.owner, row.fence = owner, row.fence + 1
    row.lease_until = clock.now() + timedelta(seconds=seconds)
    row.save(update_fields=["owner", "fence", "lease_until"])
    return Lease(
        row.pk, row.lane, row.channel, row.source, row.fence, row.members, row.size, 0, False
    )
