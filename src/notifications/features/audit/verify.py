"""Verifies the whole store: every leaf, node and checkpoint, in the order of the leaves.

It reads pages by key and stores one hash for each level of the tree, so that its memory does not
grow. Tags name each bad leaf, because only the audit's key makes them. Roots name what tags cannot:
a history that was written anew with the key differs from a checkpoint that was stored elsewhere.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from notifications.domain.audit_leaves import LeafHeader
from notifications.domain.checkpoints import Checkpoint, InvalidCheckpoint
from notifications.domain.merkle import EMPTY_ROOT, GrowingTree, ProofError
from notifications.features.audit.lawful import lawful_gaps, letting_go
from notifications.features.audit.numbering import CheckpointNumbers
from notifications.features.audit.restores import RestorePoint, restore_points
from notifications.features.audit.store_pages import (
    PAGE,
    StoredNodes,
    extra_nodes,
    read_checkpoints,
    read_leaves,
)
from notifications.infra import clock
from notifications.infra.audit_keys import audit_keys, open_checkpoint
from notifications.infra.clock import epoch_ms
from notifications.models import LETS_GO, AuditCheckpoint, AuditHead, LeafKind
from notifications.models.audit.tree import STORED_FROM

MOST_FAULTS = 100


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in the store that is not as it was sealed."""

    #: The first leaf that it concerns.
    number: int
    #: The row that is wrong, e.g. `leaf 12`.
    row: str
    problem: str
    #: Another fault may be the cause: the leaf that lets a content go may be the bad one.
    may_follow: bool = False


@dataclass(slots=True)
class Report:
    """What a verification found."""

    leaves: int = 0
    #: Contents that were let go, each covered by a leaf that says so.
    let_go: int = 0
    checkpoints: int = 0
    root: bytes = EMPTY_ROOT
    #: The first faults, in the order in which they were found.
    faults: list[Fault] = field(default_factory=list)
    #: How many faults there are.
    count: int = 0
    #: What restores of a backup explain: checkpoints of leaves that are not in it.
    lost: list[Fault] = field(default_factory=list)
    #: Restores that the log names.
    restores: list[RestorePoint] = field(default_factory=list)
    _first: Fault | None = None

    @property
    def first(self) -> Fault | None:
        """The fault that concerns the lowest leaf; those that follow from others come last."""
        found = (self._first, *self.faults) if self._first else self.faults
        return min(found, key=lambda fault: (fault.may_follow, fault.number), default=None)

    def add(self, number: int, row: str, problem: str, *, may_follow: bool = False) -> None:
        """Adds a fault."""
        self.count += 1
        fault = Fault(number, row, problem, may_follow)
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(fault)
        elif not may_follow and (self._first is None or number < self._first.number):
            self._first = fault


def verify_store(
    external: Sequence[Checkpoint] = (), *, progress: Callable[[int], None] = lambda _: None
) -> Report:
    """Verifies the store.

    external: checkpoints that were stored elsewhere, whose signatures were verified.
    progress: called with the number of leaves, now and then.
    """
    return _Verifier(external, progress).run()


class _Verifier:
    def __init__(self, external: Sequence[Checkpoint], progress: Callable[[int], None]) -> None:
        self._report = Report()
        self._progress = progress
        self._keys = audit_keys()
        # It is read before the leaves: what is sealed meanwhile is not verified.
        self._head = AuditHead.objects.first() or AuditHead()
        self._gaps = lawful_gaps(self._is_ours)
        self._report.restores = restore_points()
        self._external = sorted(external, key=lambda each: each.size)
        self._agreed = 0
        self._checkpoints = self._read_checkpoints()
        self._pending = next(self._checkpoints, None)
        self._nodes = StoredNodes()
        self._tree = GrowingTree()
        self._next = 0
        self._whole = True
        #: The last leaf whose hash is not trusted: nodes above it are not compared.
        self._bad = -1

    def run(self) -> Report:
        for row in read_leaves():
            number = row[0]
            if number >= self._head.size:
                if AuditHead.objects.filter(size__gt=number).exists():
                    break  # it was sealed meanwhile
                self._check_beyond(row)
            elif number < 0:
                self._add_leaf_fault(number, "it was inserted before the first leaf")
            else:
                self._skip_missing(number)
                self._check_leaf(row)
        self._skip_missing(self._head.size)
        self._check_end()
        return self._report

    def _check_beyond(self, row: Sequence[Any]) -> None:
        number, leaf_hash, tag = row[0], bytes(row[-2]), bytes(row[-1])
        if self._is_ours(number, leaf_hash, tag):
            self._report.add(number, "head", "it was changed: there are more leaves")
        else:
            self._add_leaf_fault(number, "it was inserted after the last leaf")

    def _add_leaf_fault(self, number: int, problem: str) -> None:
        self._bad = max(self._bad, number)
        self._report.add(number, f"leaf {number}", problem)

    def _skip_missing(self, number: int) -> None:
        """Reports missing leaves. The tree is whole no more: it is not compared from there on."""
        size = self._next
        if size < number:
            row = f"leaf {size}" if number == size + 1 else f"leaves {size} to {number - 1}"
            self._report.add(size, row, "missing")
            self._whole, self._next = False, number

    def _check_leaf(self, row: Sequence[Any]) -> None:
        number, kind, target, subject_id = row[0], row[1], row[5], row[6]
        first, last, data, data_hash, leaf_hash, tag = row[7:]
        self._report.leaves += 1
        content = bytes(data_hash or b"") if data is None else sha256(bytes(data)).digest()
        messages = f"messages:{first}-{last}" if kind == LeafKind.SLICE else None
        found = LeafHeader(*row[1:7]).leaf_hash(content)
        if found != bytes(leaf_hash):
            self._add_leaf_fault(number, "its content or a column was changed")
        elif not self._is_ours(number, found, bytes(tag)):
            self._add_leaf_fault(number, "it was replaced, inserted or moved: the tag is not ours")
        elif (data is not None and data_hash is not None) or (
            (first, last) != (None, None) if messages is None else messages != target
        ):
            self._report.add(number, f"leaf {number}", "a column was changed")
        elif data is None and not self._is_lawful(number, kind, subject_id):
            problem = "its content is gone, and no leaf says why"
            self._report.add(number, f"leaf {number}", problem, may_follow=kind not in LETS_GO)
        elif data is None:
            self._report.let_go += 1
        self._grow(bytes(leaf_hash))

    def _is_lawful(self, number: int, kind: str, subject_id: int | None) -> bool:
        """Whether a leaf lets the content go; those that were sealed meanwhile count, too."""
        if self._gaps.covers(number, kind, subject_id):
            return True
        newest = letting_go().values_list("number", flat=True).last()
        if newest is None or newest <= self._gaps.last:
            return False
        self._gaps = lawful_gaps(self._is_ours)
        return self._gaps.covers(number, kind, subject_id)

    def _is_ours(self, number: int, leaf_hash: bytes, tag: bytes) -> bool:
        return any(hmac.compare_digest(key.tag(number, leaf_hash), tag) for key in self._keys)

    def _grow(self, leaf_hash: bytes) -> None:
        number = self._next
        self._next += 1
        if not number % PAGE:
            self._progress(number)
        if not self._whole:
            return
        for (level, place), found in self._tree.append(leaf_hash):
            if level >= STORED_FROM:
                self._check_node(level, place, found)
        self._compare_checkpoints()

    def _check_node(self, level: int, place: int, found: bytes) -> None:
        stored, start = self._nodes.take(level, place), place << level
        if stored is None:
            self._report.add(start, f"node {level}/{place}", "missing")
        elif stored != found and self._bad < start:
            self._report.add(start, f"node {level}/{place}", "changed")

    def _compare_checkpoints(self) -> None:
        size = self._tree.size
        while self._pending is not None and self._pending.size <= size:
            if self._differs(self._pending):
                self._report.add(self._agreed, f"checkpoint of {size} leaves", "another root")
            self._report.checkpoints += 1
            self._pending = next(self._checkpoints, None)
        while self._external and self._external[0].size <= size:
            checkpoint = self._external.pop(0)
            if self._differs(checkpoint):
                if self._is_lost(checkpoint):
                    continue
                row = f"leaves {self._agreed} to {size - 1}"
                problem = "they are not those of the checkpoint that was stored elsewhere"
                self._report.add(self._agreed, row, problem)
            elif self._bad < 0:
                self._agreed = size

    def _differs(self, checkpoint: Checkpoint) -> bool:
        """Whether a checkpoint has another root; below a bad leaf it proves nothing more."""
        return self._bad < 0 and checkpoint.root != self._tree.root()

    def _is_lost(self, checkpoint: Checkpoint) -> bool:
        """Whether a restore explains why a checkpoint that was stored elsewhere differs."""
        for point in self._report.restores:
            if point.explains(checkpoint.size, checkpoint.at) and self._bad < 0:
                row = f"leaves {point.size} to {checkpoint.size - 1}"
                problem = f"lost by the restore of {point.at:%Y-%m-%dT%H:%M:%SZ}"
                self._report.lost.append(Fault(point.size, row, problem))
                return True
        return False

    def _read_checkpoints(self) -> Iterator[Checkpoint]:
        """Yields the stored checkpoints; reports those that were changed."""
        numbers = CheckpointNumbers(self._keys, epoch_ms(clock.now()))
        for row in read_checkpoints():
            number = max(0, min(row.size, self._head.size) - 1)
            if problem := numbers.problem_of(row):
                self._report.add(number, f"checkpoint {row.pk}", problem)
            try:
                found = open_checkpoint(row.note)
            except InvalidCheckpoint as error:
                self._report.add(number, f"checkpoint {row.pk}", str(error))
                continue
            if found.size != row.size or epoch_ms(found.at) // 1000 != row.at_ms // 1000:
                self._report.add(number, f"checkpoint {row.pk}", "a column was changed")
                continue
            if found.origin != self._head.origin:
                self._report.add(number, f"checkpoint {row.pk}", "it is of another log")
            yield found

    def _check_end(self) -> None:
        size = self._next
        self._report.root = self._tree.root()
        now = AuditHead.objects.first() or AuditHead()
        late = [each for each in (self._pending, *self._checkpoints) if each is not None]
        for each in (*late, *self._external):
            if each.size <= max(size, now.size) or (each in self._external and self._is_lost(each)):
                continue
            problem = f"missing: a checkpoint covers {each.size} leaves, the store has {size}"
            self._report.add(size, f"leaf {size}", problem)
        for level, place in extra_nodes(now.size):
            self._report.add(place << level, f"node {level}/{place}", "it was inserted")
        self._check_head()

    def _check_head(self) -> None:
        head, size = self._head, self._next
        signed = AuditCheckpoint.objects.filter(size=head.signed_size, at_ms=head.signed_ms)
        if head.signed_size and not signed.exists():
            problem = "it is missing, or the head was changed"
            self._report.add(size, f"checkpoint of {head.signed_size} leaves", problem)
        try:
            root = GrowingTree.from_bytes(head.size, bytes(head.edge)).root()
        except ProofError as error:
            self._report.add(size, "head", f"it was changed: {error}")
            return
        if root != self._report.root and self._bad < 0 and self._whole:
            self._report.add(size, "head", "it has another root than the leaves")
