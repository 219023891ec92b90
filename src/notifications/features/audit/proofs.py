"""Proofs of the tree, from stored hashes: O(log n) reads each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from notifications.domain.merkle import (
    GrowingTree,
    Node,
    Range,
    consistency_ranges,
    inclusion_ranges,
    needed_nodes,
    range_hash,
)
from notifications.infra.audit_keys import audit_keys, default_origin, verifier_key
from notifications.models import AuditHead, AuditLeaf, AuditNode
from notifications.models.audit.tree import STORED_FROM


def public_key_line() -> str:
    """Returns the public key that signs now, under the name of this log, as one line."""
    head = AuditHead.objects.first()
    name = head.origin if head is not None and head.origin else default_origin()
    return verifier_key(name, audit_keys()[0].public)


class StoreBroken(Exception):
    """A hash that a proof needs is missing: `carillon audit verify` names the row."""


def inclusion_proof(number: int, size: int) -> list[bytes]:
    """Returns the hashes that prove that a leaf is in the tree of `size` leaves.

    Raises:
        ProofError: the tree has no such leaf.
        StoreBroken: a stored hash is missing.
    """
    return _hashes(inclusion_ranges(number, size))


def consistency_proof(old: int, new: int) -> list[bytes]:
    """Returns the hashes that prove that the tree of `new` leaves continues that of `old`.

    Raises:
        ProofError: old is below 1 or above new.
        StoreBroken: a stored hash is missing.
    """
    return _hashes(consistency_ranges(old, new))


def root_at(size: int) -> bytes:
    """Returns the root of the first `size` leaves.

    Raises:
        StoreBroken: a stored hash is missing.
    """
    return _hashes([(0, size)])[0]


def _hashes(ranges: Sequence[Range]) -> list[bytes]:
    """Returns the hash of each range, with one query for nodes and one for each short run."""
    known = read_nodes(needed_nodes(ranges))
    return [range_hash(wanted, known.__getitem__) for wanted in ranges]


def read_nodes(nodes: Iterable[Node]) -> dict[Node, bytes]:
    """Returns the hashes of complete nodes. Nodes below STORED_FROM are made of their leaves.

    Raises:
        StoreBroken: a stored hash is missing.
    """
    wanted = set(nodes)
    stored = {AuditNode.key(*node): node for node in wanted if node[0] >= STORED_FROM}
    rows = AuditNode.objects.filter(pk__in=stored).values_list("pk", "hash")
    found = {stored[key]: bytes(value) for key, value in rows}
    leaves = _read_leaves(node for node in wanted if node[0] < STORED_FROM)
    for level, index in wanted:
        if level < STORED_FROM:
            found[level, index] = _small_node(level, index, leaves)
    for node in wanted - found.keys():
        raise StoreBroken(f"the node {node[1]} of level {node[0]} is missing")
    return found


def _read_leaves(nodes: Iterable[Node]) -> dict[int, bytes]:
    numbers = [
        number for level, index in nodes for number in range(index << level, (index + 1) << level)
    ]
    rows = AuditLeaf.objects.filter(pk__in=numbers).values_list("pk", "leaf_hash")
    return {number: bytes(value) for number, value in rows}


def _small_node(level: int, index: int, leaves: dict[int, bytes]) -> bytes:
    tree = GrowingTree()
    for number in range(index << level, (index + 1) << level):
        if number not in leaves:
            raise StoreBroken(f"the leaf {number} is missing")
        tree.append(leaves[number])
    return tree.root()
