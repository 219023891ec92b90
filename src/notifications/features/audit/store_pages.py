"""Reads the whole store in pages by key, for its verification."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from notifications.models import AuditCheckpoint, AuditLeaf, AuditNode
from notifications.models.audit.tree import STORED_FROM

PAGE = 2_000
_TOP = 48
LEAF_COLUMNS = (
    "number",
    "kind",
    "at_ms",
    "actor",
    "action",
    "target",
    "subject_id",
    "first_message",
    "last_message",
    "data",
    "data_hash",
    "leaf_hash",
    "tag",
)


def read_leaves() -> Iterator[tuple[Any, ...]]:
    """Yields the columns of every leaf, by ascending number."""
    rows = AuditLeaf.objects.order_by("number")
    page = list(rows.values_list(*LEAF_COLUMNS)[:PAGE])
    while page:
        yield from page
        page = list(rows.filter(number__gt=page[-1][0]).values_list(*LEAF_COLUMNS)[:PAGE])


def read_checkpoints() -> Iterator[AuditCheckpoint]:
    """Yields every checkpoint, the smallest tree first."""
    size, key = -(1 << 63), 0
    while True:
        same = AuditCheckpoint.objects.filter(size=size, pk__gt=key).order_by("pk")
        page = list(same[:PAGE])
        if not page:
            page = list(AuditCheckpoint.objects.filter(size__gt=size).order_by("size", "pk")[:PAGE])
        if not page:
            return
        yield from page
        size, key = page[-1].size, page[-1].pk


class StoredNodes:
    """The stored interior nodes, each level in its own order."""

    def __init__(self) -> None:
        self._levels: dict[int, Iterator[tuple[int, bytes]]] = {}
        self._next: dict[int, tuple[int, bytes] | None] = {}

    def take(self, level: int, index: int) -> bytes | None:
        """Returns the hash of a node; None when it is missing. Nodes of a level come in order."""
        if level not in self._levels:
            self._levels[level] = _read_level(level)
            self._next[level] = next(self._levels[level], None)
        found = self._next[level]
        if found is None or found[0] != AuditNode.key(level, index):
            return None
        self._next[level] = next(self._levels[level], None)
        return found[1]


def extra_nodes(size: int) -> list[tuple[int, int]]:
    """Returns the first stored nodes that a tree of `size` leaves does not have."""
    wrong: list[int] = []
    bounds = [(-(1 << 63), AuditNode.key(STORED_FROM, 0)), (AuditNode.key(_TOP, 0), (1 << 63) - 1)]
    bounds += [
        (AuditNode.key(level, size >> level), AuditNode.key(level + 1, 0))
        for level in range(STORED_FROM, _TOP)
    ]
    for start, stop in bounds:
        rows = AuditNode.objects.filter(pk__gte=start, pk__lt=stop).order_by("pk")
        wrong += rows.values_list("pk", flat=True)[:5]
    return [(key >> _TOP, key & ((1 << _TOP) - 1)) for key in wrong]


def _read_level(level: int) -> Iterator[tuple[int, bytes]]:
    after, stop = AuditNode.key(level, 0) - 1, AuditNode.key(level + 1, 0)
    rows = AuditNode.objects.filter(pk__lt=stop).order_by("pk").values_list("pk", "hash")
    while page := list(rows.filter(pk__gt=after)[:PAGE]):
        yield from ((key, bytes(value)) for key, value in page)
        after = page[-1][0]
