"""An attacker who may write the store: each way to change it, and what `verify` must name."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.db.models import F

from notifications.domain.merkle import GrowingTree
from notifications.features.audit.numbering import checkpoint_tag
from notifications.features.audit.receipts import header_of
from notifications.infra.audit_keys import audit_keys, open_checkpoint
from notifications.models import AuditCheckpoint, AuditHead, AuditLeaf, AuditNode
from notifications.models.audit.tree import STORED_FROM


@dataclass(frozen=True, slots=True)
class Named:
    """What must be named first: a row, or a range of leaves that has the bad one."""

    row: str = ""
    within: int | None = None


def size() -> int:
    return AuditHead.objects.get().size


def some_leaf(rng: random.Random) -> AuditLeaf:
    return AuditLeaf.objects.get(pk=rng.randrange(size()))


def hash_of(leaf: AuditLeaf) -> bytes:
    data_hash = bytes(leaf.data_hash or b"") if leaf.data is None else sha256(leaf.data).digest()
    return header_of(leaf).leaf_hash(data_hash)


def rebuild() -> None:
    """Makes nodes and head fit the leaves' hashes, as an attacker without the key can."""
    tree, nodes = GrowingTree(), []
    for value in AuditLeaf.objects.order_by("pk").values_list("leaf_hash", flat=True):
        for (level, place), found in tree.append(bytes(value)):
            if level >= STORED_FROM:
                nodes.append(AuditNode(pk=AuditNode.key(level, place), hash=found))
    AuditNode.objects.all().delete()
    AuditNode.objects.bulk_create(nodes)
    AuditHead.objects.update(size=tree.size, edge=tree.edge_bytes())


def altered(rng: random.Random, leaf: AuditLeaf) -> dict[str, Any]:
    """Returns another value for one column."""
    changes: list[dict[str, Any]] = [
        {"kind": "erasure" if leaf.kind != "erasure" else "entry"},
        {"at_ms": leaf.at_ms + rng.choice((-1, 1, 86_400_000))},
        {"actor": f"user:{rng.randrange(2, 1000)}"},
        {"action": rng.choice(("test.other", "x", "a" * 40))},
        {"target": f"thing:{rng.randrange(10_000, 99_999)}"},
        {"subject_id": (leaf.subject_id or 0) + 1},
        {"first_message": (leaf.first_message or 0) + 1},
        {"last_message": (leaf.last_message or 0) + 1},
        {"leaf_hash": rng.randbytes(32)},
        {"tag": rng.randbytes(16)},
    ]
    if leaf.data is None:
        changes += [{"data_hash": rng.randbytes(32)}, {"data": rng.randbytes(60)}]
    else:
        raw = bytearray(leaf.data)
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        changes += [{"data": bytes(raw)}, {"data": bytes(raw[:-1])}, {"data_hash": b"\1" * 32}]
    return rng.choice(changes)


def change(rng: random.Random) -> Named:
    leaf = some_leaf(rng)
    AuditLeaf.objects.filter(pk=leaf.pk).update(**altered(rng, leaf))
    return Named(f"leaf {leaf.pk}")


def change_and_rebuild(rng: random.Random) -> Named:
    leaf = some_leaf(rng)
    before = hash_of(leaf)
    for name, value in altered(rng, leaf).items():
        setattr(leaf, name, value)
    if hash_of(leaf) != before:
        leaf.leaf_hash = hash_of(leaf)
    leaf.save()
    rebuild()
    return Named(f"leaf {leaf.pk}")


def delete_leaf(rng: random.Random) -> Named:
    number = rng.randrange(size())
    AuditLeaf.objects.filter(pk=number).delete()
    if rng.random() < 0.5:
        _shift(number + 1, -1)
        rebuild()
    return Named(f"leaf {number}")


def delete_last(rng: random.Random) -> Named:
    """Deletes the last leaf and all traces of it; only a checkpoint elsewhere knows it."""
    return truncate(rng, most=1)


def insert(rng: random.Random) -> Named:
    number = rng.randrange(size() + 1)
    _shift(number, 1)
    copy = AuditLeaf.objects.exclude(pk=number).order_by("?").first()
    assert copy is not None
    copy.pk, copy.target = number, f"thing:{rng.randrange(10_000)}"
    copy.leaf_hash = hash_of(copy)
    copy.save(force_insert=True)
    if rng.random() < 0.7:
        rebuild()
    return Named(f"leaf {number}")


def _shift(start: int, by: int) -> None:
    AuditLeaf.objects.filter(pk__gte=start).update(number=-F("number") - by)
    AuditLeaf.objects.filter(pk__lt=0).update(number=-F("number"))


def reorder(rng: random.Random) -> Named:
    one, other = sorted(rng.sample(range(size()), 2))
    AuditLeaf.objects.filter(pk=one).update(number=-1)
    AuditLeaf.objects.filter(pk=other).update(number=one)
    AuditLeaf.objects.filter(pk=-1).update(number=other)
    if rng.random() < 0.5:
        rebuild()
    return Named(f"leaf {one}")


def truncate(rng: random.Random, most: int | None = None) -> Named:
    old = size()
    new = old - rng.randint(1, most or old - 1)
    AuditLeaf.objects.filter(pk__gte=new).delete()
    AuditCheckpoint.objects.filter(size__gt=new).delete()
    rebuild()
    last = AuditCheckpoint.objects.order_by("-pk").first()
    signed = (last.size, last.at_ms) if last is not None else (0, 0)
    AuditHead.objects.update(signed_size=signed[0], signed_ms=signed[1])
    return Named(f"leaf {new}")


def split_view(rng: random.Random) -> Named:
    """Writes the history anew with the real key: another tree for another reader."""
    leaf = some_leaf(rng)
    leaf.actor, leaf.target = f"user:{rng.randrange(2, 1000)}", f"thing:{rng.random()}"
    leaf.leaf_hash = hash_of(leaf)
    leaf.tag = audit_keys()[0].tag(leaf.pk, leaf.leaf_hash)
    leaf.save()
    rebuild()
    tree, at = GrowingTree(), 0
    hashes = list(AuditLeaf.objects.order_by("pk").values_list("leaf_hash", flat=True))
    for row in AuditCheckpoint.objects.order_by("size", "pk"):
        while at < row.size:
            tree.append(bytes(hashes[at]))
            at += 1
        was = open_checkpoint(row.note)
        key = audit_keys()[0]
        row.note = key.sign(type(was)(was.origin, row.size, tree.root(), was.at))
        row.tag = checkpoint_tag(key, row.sequence, row.previous_hourly, row.hourly, row.note)
        row.save()
    return Named(within=leaf.pk)


def empty(rng: random.Random) -> Named:
    """Lets a content go without a leaf that says so."""
    leaf = AuditLeaf.objects.filter(data__isnull=False).order_by("?").first()
    assert leaf is not None
    content = sha256(bytes(leaf.data or b"")).digest()
    AuditLeaf.objects.filter(pk=leaf.pk).update(data=None, data_hash=content)
    return Named(f"leaf {leaf.pk}")


def node(rng: random.Random) -> Named:
    row = rng.choice(list(AuditNode.objects.all()))
    name = Named(f"node {row.pk >> 48}/{row.pk & ((1 << 48) - 1)}")
    if rng.random() < 0.5:
        AuditNode.objects.filter(pk=row.pk).update(hash=rng.randbytes(32))
    else:
        AuditNode.objects.filter(pk=row.pk).delete()
    return name


def head(rng: random.Random) -> Named:
    edge = bytes(AuditHead.objects.get().edge)
    if rng.random() < 0.5:
        AuditHead.objects.update(edge=rng.randbytes(len(edge)))
    else:
        AuditHead.objects.update(edge=edge[:-1])
    return Named("head")


def checkpoint(rng: random.Random) -> Named:
    row = rng.choice(list(AuditCheckpoint.objects.all()))
    place = rng.randrange(len(row.note) - 1)
    other = chr((ord(row.note[place]) + 1) % 128)
    note = row.note[:place] + other + row.note[place + 1 :]
    if rng.random() < 0.3:
        AuditCheckpoint.objects.filter(pk=row.pk).update(size=row.size + 1)
    else:
        AuditCheckpoint.objects.filter(pk=row.pk).update(note=note)
    return Named(f"checkpoint {row.pk}")


Tampering = Callable[[random.Random], Named]
TAMPERINGS: tuple[Tampering, ...] = (
    change,
    change_and_rebuild,
    delete_leaf,
    delete_last,
    insert,
    reorder,
    truncate,
    split_view,
    empty,
    node,
    head,
    checkpoint,
)
