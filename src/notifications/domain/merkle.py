"""The Merkle tree of RFC 6962: hashes, growth, and proofs of inclusion and consistency.

A tree is a list of leaf hashes. A node `(level, index)` covers the 2**level leaves that begin at
index * 2**level. Only complete nodes are stored. A proof is a list of ranges of leaves, and the
hash of a range is made of complete nodes. So a proof needs some 2 * log2(n) stored hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
_LEAF, _NODE = b"\x00", b"\x01"

Node = tuple[int, int]
"""A complete node: its level (0 for leaves) and its index within the level."""
Range = tuple[int, int]
"""Leaves from the first number up to, but not including, the second."""
ReadHash = Callable[[Node], bytes]


class ProofError(ValueError):
    """A proof does not lead to the root, or the numbers do not fit a tree."""


def hash_leaf(content: bytes) -> bytes:
    """Returns the 32-byte hash of a leaf's content."""
    return hashlib.sha256(_LEAF + content).digest()


def hash_children(left: bytes, right: bytes) -> bytes:
    """Returns the 32-byte hash of a node with these children."""
    return hashlib.sha256(_NODE + left + right).digest()


@dataclass(slots=True)
class GrowingTree:
    """A tree that leaves are appended to. It stores one hash for each complete part.

    edge: the hashes of the complete nodes on the right edge, the largest first: one for each bit
    that is set in `size`.
    """

    size: int = 0
    edge: list[bytes] = field(default_factory=list)

    @classmethod
    def from_bytes(cls, size: int, edge: bytes) -> GrowingTree:
        """Returns the tree that `edge_bytes` describes.

        Raises:
            ProofError: the number of hashes does not fit the size.
        """
        if size < 0 or len(edge) != HASH_BYTES * size.bit_count():
            raise ProofError(f"a tree of {size} leaves has {size.bit_count()} hashes on its edge")
        hashes = [edge[at : at + HASH_BYTES] for at in range(0, len(edge), HASH_BYTES)]
        return cls(size, hashes)

    def edge_bytes(self) -> bytes:
        """Returns the hashes of the edge, one after another."""
        return b"".join(self.edge)

    def append(self, leaf: bytes) -> list[tuple[Node, bytes]]:
        """Appends a leaf hash; returns the nodes above the leaves that became complete."""
        made: list[tuple[Node, bytes]] = []
        level, index, found = 0, self.size, leaf
        while index & 1:
            found = hash_children(self.edge.pop(), found)
            level, index = level + 1, index >> 1
            made.append(((level, index), found))
        self.edge.append(found)
        self.size += 1
        return made

    def root(self) -> bytes:
        """Returns the root hash; that of an empty tree is the hash of nothing."""
        return fold(self.edge)


def fold(parts: Sequence[bytes]) -> bytes:
    """Returns the hash of a range from its complete nodes, the leftmost first."""
    if not parts:
        return EMPTY_ROOT
    found = parts[-1]
    for part in reversed(parts[:-1]):
        found = hash_children(part, found)
    return found


def nodes_of(wanted: Range) -> list[Node]:
    """Returns the complete nodes that make up a range, the leftmost first.

    The range must begin at a multiple of the smallest power of two that is not below its length.
    """
    start, stop = wanted
    nodes: list[Node] = []
    while start < stop:
        level = (stop - start).bit_length() - 1
        nodes.append((level, start >> level))
        start += 1 << level
    return nodes


def range_hash(wanted: Range, read: ReadHash) -> bytes:
    """Returns the hash of a range; `read` returns the hash of a complete node."""
    return fold([read(node) for node in nodes_of(wanted)])


def _split(size: int) -> int:
    """Returns the largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Returns the ranges whose hashes prove that a leaf is in a tree, as RFC 6962 orders them.

    Raises:
        ProofError: the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ProofError(f"a tree of {size} leaves has no leaf {index}")
    found: list[Range] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            found.append((middle, stop))
            stop = middle
        else:
            found.append((start, middle))
            start = middle
    return found[::-1]


def consistency_ranges(old: int, new: int) -> list[Range]:
    """Returns the ranges whose hashes prove that a tree of `new` leaves continues one of `old`.

    Raises:
        ProofError: old is below 1 or above new.
    """
    if not 0 < old <= new:
        raise ProofError(f"a tree of {new} leaves continues no tree of {old}")
    found: list[Range] = []
    start, stop, whole = 0, new, True
    while old != stop:
        middle = start + _split(stop - start)
        if old <= middle:
            found.append((middle, stop))
            stop = middle
        else:
            found.append((start, middle))
            start, whole = middle, False
    if not whole:
        found.append((start, stop))
    return found[::-1]


def needed_nodes(ranges: Iterable[Range]) -> list[Node]:
    """Returns the complete nodes that the hashes of these ranges are made of."""
    return [node for wanted in ranges for node in nodes_of(wanted)]


def root_of_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Returns the root to which an inclusion proof leads (RFC 9162, 2.1.3.2).

    Raises:
        ProofError: the proof is too short or too long.
    """
    if not 0 <= index < size:
        raise ProofError(f"a tree of {size} leaves has no leaf {index}")
    at, last, found = index, size - 1, leaf
    for each in proof:
        if last == 0:
            raise ProofError("the inclusion proof is too long")
        if at & 1 or at == last:
            found = hash_children(each, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = hash_children(found, each)
        at, last = at >> 1, last >> 1
    if last:
        raise ProofError("the inclusion proof is too short")
    return found


def check_consistency(
    old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Checks that the larger tree continues the smaller one (RFC 9162, 2.1.4.2).

    Raises:
        ProofError: it does not, or the proof does not fit the sizes.
    """
    if not 0 < old <= new:
        raise ProofError(f"a tree of {new} leaves continues no tree of {old}")
    if old == new:
        if proof or old_root != new_root:
            raise ProofError("two trees of one size have different roots")
        return
    found = _roots_of_consistency(old, old_root, new, proof)
    if found != (old_root, new_root):
        raise ProofError("the larger tree does not continue the smaller one")


def _roots_of_consistency(
    old: int, old_root: bytes, new: int, proof: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """Returns the roots of both trees to which a consistency proof leads."""
    rest = list(proof) if old & (old - 1) else [old_root, *proof]
    if not rest:
        raise ProofError("the consistency proof is empty")
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    found_old = found_new = rest[0]
    for each in rest[1:]:
        if last == 0:
            raise ProofError("the consistency proof is too long")
        if at & 1 or at == last:
            found_old, found_new = hash_children(each, found_old), hash_children(each, found_new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found_new = hash_children(found_new, each)
        at, last = at >> 1, last >> 1
    if last:
        raise ProofError("the consistency proof is too short")
    return found_old, found_new
