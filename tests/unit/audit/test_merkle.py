"""The tree against the published vectors of Certificate Transparency, and a naive tree."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.domain.merkle import (
    EMPTY_ROOT,
    GrowingTree,
    ProofError,
    check_consistency,
    consistency_ranges,
    hash_children,
    hash_leaf,
    inclusion_ranges,
    range_hash,
    root_of_inclusion,
)

# The vectors of google/certificate-transparency (merkletree/merkle_tree_test).
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
}


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, as it is written there."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hash_children(naive_root(leaves[:k]), naive_root(leaves[k:]))


def naive_path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962, section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_consistency(m: int, leaves: list[bytes], whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 6962, section 2.1.2."""
    if m == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m <= k:
        return [*naive_consistency(m, leaves[:k], whole), naive_root(leaves[k:])]
    return [*naive_consistency(m - k, leaves[k:], False), naive_root(leaves[:k])]


def leaves_of(size: int) -> list[bytes]:
    return [hash_leaf(str(number).encode()) for number in range(size)]


def proof_of(ranges: list[tuple[int, int]], leaves: list[bytes]) -> list[bytes]:
    def read(node: tuple[int, int]) -> bytes:
        level, index = node
        part = leaves[index << level : (index + 1) << level]
        assert len(part) == 1 << level, "only complete nodes are read"
        return naive_root(part)

    return [range_hash(wanted, read) for wanted in ranges]


def test_the_published_roots() -> None:
    tree = GrowingTree()
    assert tree.root() == EMPTY_ROOT
    for content, root in zip(LEAVES, ROOTS, strict=True):
        tree.append(hash_leaf(content))
        assert tree.root().hex() == root


@pytest.mark.parametrize(("place", "proof"), INCLUSION.items())
def test_the_published_inclusion_proofs(place: tuple[int, int], proof: list[str]) -> None:
    index, size = place
    leaves = [hash_leaf(content) for content in LEAVES]
    hashes = proof_of(inclusion_ranges(index, size), leaves)
    assert [each.hex() for each in hashes] == proof
    assert root_of_inclusion(leaves[index], index, size, hashes).hex() == ROOTS[size - 1]


@pytest.mark.parametrize("size", range(1, 40))
def test_all_small_proofs_are_those_of_the_naive_tree(size: int) -> None:
    leaves = leaves_of(size)
    root = naive_root(leaves)
    for index in range(size):
        proof = proof_of(inclusion_ranges(index, size), leaves)
        assert proof == naive_path(index, leaves)
        assert root_of_inclusion(leaves[index], index, size, proof) == root
    for old in range(1, size + 1):
        proof = proof_of(consistency_ranges(old, size), leaves)
        assert proof == naive_consistency(old, leaves)
        check_consistency(old, naive_root(leaves[:old]), size, root, proof)


@given(st.integers(1, 700), st.data())
def test_proofs_hold_and_no_altered_proof_does(size: int, data: st.DataObject) -> None:
    leaves = leaves_of(size)
    root = naive_root(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof = proof_of(inclusion_ranges(index, size), leaves)
    assert root_of_inclusion(leaves[index], index, size, proof) == root
    old = data.draw(st.integers(1, size))
    growth = proof_of(consistency_ranges(old, size), leaves)
    old_root = naive_root(leaves[:old])
    check_consistency(old, old_root, size, root, growth)

    for altered in alterations(proof, data):
        assert not leads_to(leaves[index], index, size, altered, root)
    for altered in alterations(growth, data):
        with pytest.raises(ProofError):
            check_consistency(old, old_root, size, root, altered)
    with pytest.raises(ProofError):
        check_consistency(old, hash_leaf(b"another"), size, root, growth)


def alterations(proof: list[bytes], data: st.DataObject) -> list[list[bytes]]:
    found = [[*proof, hash_leaf(b"more")]]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        found.append([*proof[:at], hash_leaf(b"other"), *proof[at + 1 :]])
        found.append(proof[:at] + proof[at + 1 :])
    return found


def leads_to(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    try:
        return root_of_inclusion(leaf, index, size, proof) == root
    except ProofError:
        return False


@given(st.integers(0, 300), st.integers(0, 60))
def test_a_stored_edge_continues_the_tree(size: int, more: int) -> None:
    leaves = leaves_of(size + more)
    tree = GrowingTree()
    for leaf in leaves[:size]:
        tree.append(leaf)
    again = GrowingTree.from_bytes(size, tree.edge_bytes())
    for leaf in leaves[size:]:
        again.append(leaf)
    assert again.root() == naive_root(leaves)


def test_append_names_every_complete_node_once() -> None:
    tree, made = GrowingTree(), {}
    for leaf in leaves_of(64):
        made.update(tree.append(leaf))
    assert len(made) == 63
    assert made[6, 0] == tree.root()
    assert made[4, 3] == naive_root(leaves_of(64)[48:])


@pytest.mark.parametrize("call", [
    lambda: inclusion_ranges(3, 3),
    lambda: inclusion_ranges(-1, 3),
    lambda: consistency_ranges(0, 3),
    lambda: consistency_ranges(4, 3),
    lambda: root_of_inclusion(b"", 3, 3, []),
    lambda: check_consistency(0, b"", 3, b"", []),
    lambda: check_consistency(2, b"a", 3, b"b", []),
    lambda: check_consistency(2, b"a", 2, b"b", []),
    lambda: GrowingTree.from_bytes(3, b"\0" * 32),
])  # fmt: skip
def test_numbers_that_fit_no_tree_are_refused(call: object) -> None:
    with pytest.raises(ProofError):
        call()  # type: ignore[operator]
