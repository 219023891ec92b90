"""Moves entries from the queue into the tree, in order, and signs checkpoints.

One process at a time runs this loop. Its claim may be lost while a round runs, so each block locks
the row of the tree's head first: a second sealer waits, and continues where the first ended. A
block is one transaction. A process that dies loses nothing: its rows are still in the queue.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from typing import Any

from django.db import connection, transaction
from django.db.models import F, QuerySet

from notifications.domain.audit_leaves import LeafHeader
from notifications.domain.checkpoints import Checkpoint
from notifications.domain.merkle import GrowingTree
from notifications.features.audit.numbering import checkpoint_tag
from notifications.infra import clock
from notifications.infra.audit_keys import audit_keys, default_origin
from notifications.models import (
    AuditCheckpoint,
    AuditHead,
    AuditNode,
    AuditQueued,
)
from notifications.models.audit.tree import STORED_FROM
from notifications.models.delivery.hot import hot

ROUND_S = 5.0
"""Seconds after which a round signs what it has sealed, and ends."""
CHECKPOINT_EVERY_MS = 3_600_000
_AT_ONCE = {"postgresql": 1_000, "sqlite": 300}
_READ = (
    "id",
    "kind",
    "at_ms",
    "actor",
    "action",
    "target",
    "subject_id",
    "first_message",
    "last_message",
    "data",
)
_LEAF_COLUMNS = (*_READ[1:], "leaf_hash", "tag")
_LEAVES, _NODES = "notifications_auditleaf", "notifications_auditnode"


def seal_due(*, now: datetime) -> int:
    """Seals all queued entries, then signs a checkpoint if one is due; returns how many it sealed.

    A checkpoint is due after every round that sealed something, and an hour after the last one.
    """
    until = clock.monotonic() + ROUND_S
    sealed = 0
    while count := seal_block():
        sealed += count
        if clock.monotonic() > until:
            break
    sign_if_due(now=now)
    return sealed


def seal_block() -> int:
    """Moves the oldest queued rows into the tree, in one transaction; returns their number."""
    with _locked_head() as head:
        rows = _take(_AT_ONCE[connection.vendor])
        if rows:
            _append(head, rows)
        return len(rows)


def sign_if_due(*, now: datetime) -> AuditCheckpoint | None:
    """Signs the present size and root, if leaves are new or the last checkpoint is an hour old."""
    now_ms = clock.epoch_ms(now)
    with _locked_head() as head:
        if not head.size or not _is_due(head, now_ms):
            return None
        return _sign(head, now, now_ms)


def unsealed() -> list[QuerySet[Any]]:
    """Returns queries of which one has a row while there is something to seal or sign.

    The hourly checkpoint is signed by the round that runs each minute anyway.
    """
    return [AuditQueued.objects.all(), AuditHead.objects.filter(size__gt=F("signed_size"))]


def _is_due(head: AuditHead, now_ms: int) -> bool:
    return head.size > head.signed_size or now_ms - head.signed_ms >= CHECKPOINT_EVERY_MS


@contextmanager
def _locked_head() -> Iterator[AuditHead]:
    """Yields the row of the head, locked until the end of a transaction."""
    with transaction.atomic():
        head = AuditHead.objects.select_for_update().filter(pk=1).first()
        if head is None:
            AuditHead.objects.bulk_create([AuditHead()], ignore_conflicts=True)
            head = AuditHead.objects.select_for_update().get(pk=1)
        yield head


def _take(count: int) -> list[tuple[Any, ...]]:
    """Deletes the oldest queued rows and returns them, in order.

    A row with a lower id may be committed meanwhile, so the rows are deleted by their own ids.
    """
    rows = list(AuditQueued.objects.order_by("id").values_list(*_READ)[:count])
    if rows:
        AuditQueued.objects.filter(pk__in=[row[0] for row in rows]).delete()
    return rows


def _append(head: AuditHead, rows: Sequence[tuple[Any, ...]]) -> None:
    tree = GrowingTree.from_bytes(head.size, bytes(head.edge))
    leaves, nodes = _grow(tree, rows)
    hot().insert_rows(_LEAVES, ("number", *_LEAF_COLUMNS), leaves)
    if nodes:
        hot().insert_rows(_NODES, ("id", "hash"), nodes)
    head.size, head.edge = tree.size, tree.edge_bytes()
    head.save(update_fields=["size", "edge"])


def _grow(
    tree: GrowingTree, rows: Sequence[tuple[Any, ...]]
) -> tuple[list[tuple[Any, ...]], list[tuple[int, bytes]]]:
    """Appends rows to the tree; returns the new leaves and stored nodes."""
    key = audit_keys()[0]
    leaves: list[tuple[Any, ...]] = []
    nodes: list[tuple[int, bytes]] = []
    for row in rows:
        data = bytes(row[-1])
        index = tree.size
        leaf_hash = leaf_hash_of(row[1:7], data)
        for (level, place), found in tree.append(leaf_hash):
            if level >= STORED_FROM:
                nodes.append((AuditNode.key(level, place), found))
        leaves.append((index, *row[1:-1], data, leaf_hash, key.tag(index, leaf_hash)))
    return leaves, nodes


def leaf_hash_of(header: Sequence[Any], data: bytes) -> bytes:
    """Returns the hash of a leaf with this header (kind to person) and content."""
    return LeafHeader(*header).leaf_hash(sha256(data).digest())


def _sign(head: AuditHead, now: datetime, now_ms: int) -> AuditCheckpoint:
    root = GrowingTree.from_bytes(head.size, bytes(head.edge)).root()
    head.origin = head.origin or default_origin()
    note = audit_keys()[0].sign(Checkpoint(head.origin, head.size, root, now))
    hourly = now_ms // CHECKPOINT_EVERY_MS != head.signed_ms // CHECKPOINT_EVERY_MS
    head.checkpoints += 1
    found = AuditCheckpoint.objects.create(
        size=head.size,
        at_ms=now_ms,
        note=note,
        hourly=hourly,
        sequence=head.checkpoints,
        previous_hourly=head.last_hourly,
        tag=checkpoint_tag(audit_keys()[0], head.checkpoints, head.last_hourly, hourly, note),
    )
    head.last_hourly = head.checkpoints if hourly else head.last_hourly
    head.signed_size, head.signed_ms = head.size, now_ms
    head.save(update_fields=["origin", "signed_size", "signed_ms", "checkpoints", "last_hourly"])
    return found
