"""Entries are sealed in order, proved and verified."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import transaction

from notifications.domain.merkle import check_consistency, root_of_inclusion
from notifications.features.audit import sealer
from notifications.features.audit.proofs import (
    consistency_proof,
    inclusion_proof,
    public_key_line,
    root_at,
)
from notifications.features.audit.verify import verify_store
from notifications.infra.audit_keys import open_checkpoint
from notifications.models import AuditCheckpoint, AuditHead, AuditLeaf, AuditNode, AuditQueued
from notifications.models.audit.entries import NewEntry, open_entry, write_entries, write_entry
from tests.conftest import FrozenClock

pytestmark = pytest.mark.django_db

AT = datetime(2030, 5, 1, 12, 0, tzinfo=UTC)


def write(count: int, **values: Any) -> None:
    write_entries(
        [
            NewEntry(actor="user:1", action="test.change", target=f"thing:{number}", **values)
            for number in range(count)
        ],
        at=AT,
    )


def test_entries_are_sealed_in_order(frozen: FrozenClock) -> None:
    write(70)
    assert sealer.seal_due(now=frozen.now) == 70
    assert not AuditQueued.objects.exists()
    leaves = list(AuditLeaf.objects.order_by("number"))
    assert [leaf.number for leaf in leaves] == list(range(70))
    assert [leaf.target for leaf in leaves] == [f"thing:{number}" for number in range(70)]
    assert AuditNode.objects.count() == 4 + 2 + 1
    report = verify_store()
    assert report.first is None
    assert (report.leaves, report.checkpoints) == (70, 1)


def test_blocks_and_rounds_continue_one_tree(
    frozen: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealer, "_AT_ONCE", {"sqlite": 7, "postgresql": 7})
    sizes = []
    for count in (3, 20, 1, 45):
        write(count)
        assert sealer.seal_due(now=frozen.now) == count
        frozen.forward(1)
        sizes.append(AuditLeaf.objects.count())
    notes = [open_checkpoint(row.note) for row in AuditCheckpoint.objects.order_by("pk")]
    assert [each.size for each in notes] == sizes == [3, 23, 24, 69]
    for old in notes:
        assert root_at(old.size) == old.root
        for new in notes:
            if old.size <= new.size:
                proof = consistency_proof(old.size, new.size)
                check_consistency(old.size, old.root, new.size, new.root, proof)
    for leaf in AuditLeaf.objects.all():
        proof = inclusion_proof(leaf.number, 69)
        found = root_of_inclusion(bytes(leaf.leaf_hash), leaf.number, 69, proof)
        assert found == notes[-1].root
    assert verify_store().first is None


def test_a_rolled_back_writer_leaves_no_leaf(frozen: FrozenClock) -> None:
    with transaction.atomic():
        write(1)
        transaction.set_rollback(True)
    write_entry(NewEntry(actor="cli", action="test.stored"), at=AT)
    assert sealer.seal_due(now=frozen.now) == 1
    assert AuditLeaf.objects.get().action == "test.stored"


def test_a_checkpoint_is_signed_after_new_leaves_and_each_hour(frozen: FrozenClock) -> None:
    assert sealer.seal_due(now=frozen.now) == 0
    assert not AuditCheckpoint.objects.exists()
    write(1)
    sealer.seal_due(now=frozen.now)
    frozen.forward(3_599)
    sealer.seal_due(now=frozen.now)
    assert AuditCheckpoint.objects.count() == 1
    frozen.forward(1)
    sealer.seal_due(now=frozen.now)
    first, second = AuditCheckpoint.objects.order_by("pk")
    assert (first.size, second.size) == (1, 1)
    assert first.note != second.note
    assert first.hourly
    assert second.hourly


def test_the_condition_holds_while_there_is_something_to_seal(frozen: FrozenClock) -> None:
    def due() -> bool:
        return any(rows.exists() for rows in sealer.unsealed())

    assert not due()
    write(1)
    assert due()
    sealer.seal_block()
    assert due()
    sealer.sign_if_due(now=frozen.now)
    assert not due()


def test_an_entry_stores_its_details_sealed(frozen: FrozenClock) -> None:
    write(1, reason="because", before={"a": 1}, after={"a": 2}, subject_id=7)
    sealer.seal_due(now=frozen.now)
    leaf = AuditLeaf.objects.get()
    assert b"because" not in bytes(leaf.data)
    _, details = open_entry(bytes(leaf.data))
    assert details == (
        b'{"after":{"a":2},"before":{"a":1},"ip":null,"reason":"because","user_agent":null}'
    )


Change = Callable[[], object]


def _swap(one: int, other: int) -> None:
    rows = AuditLeaf.objects
    rows.filter(pk=one).update(number=999)
    rows.filter(pk=other).update(number=one)
    rows.filter(pk=999).update(number=other)


@pytest.mark.parametrize(
    ("change", "row"),
    [
        (lambda: AuditLeaf.objects.filter(pk=33).update(actor="user:2"), "leaf 33"),
        (lambda: AuditLeaf.objects.filter(pk=33).update(at_ms=1), "leaf 33"),
        (lambda: AuditLeaf.objects.filter(pk=33).update(data=b"x"), "leaf 33"),
        (lambda: AuditLeaf.objects.filter(pk=33).update(data=None), "leaf 33"),
        (lambda: AuditLeaf.objects.filter(pk=33).update(data_hash=b"x"), "leaf 33"),
        (lambda: AuditLeaf.objects.filter(pk=33).update(first_message=1), "leaf 33"),
        (lambda: AuditLeaf.objects.filter(pk=33).update(tag=b"x"), "leaf 33"),
        (lambda: AuditLeaf.objects.filter(pk=33).delete(), "leaf 33"),
        (lambda: AuditLeaf.objects.filter(pk__gte=60).delete(), "leaves 60 to 69"),
        (lambda: AuditLeaf.objects.filter(pk=5).update(number=-1), "leaf -1"),
        (lambda: AuditLeaf.objects.filter(pk=5).update(number=80), "leaf 5"),
        (lambda: _swap(20, 40), "leaf 20"),
        (lambda: AuditNode.objects.filter(pk=AuditNode.key(4, 2)).delete(), "node 4/2"),
        (lambda: AuditNode.objects.filter(pk=AuditNode.key(5, 1)).update(hash=b"x"), "node 5/1"),
        (lambda: AuditNode.objects.create(pk=AuditNode.key(4, 4), hash=b"x"), "node 4/4"),
        (lambda: AuditHead.objects.update(size=69), "head"),
        (lambda: AuditHead.objects.update(edge=bytes(96)), "head"),
        (lambda: AuditHead.objects.update(size=71), "leaf 70"),
        (lambda: AuditCheckpoint.objects.update(size=69), "checkpoint 1"),
        (lambda: AuditCheckpoint.objects.all().delete(), "checkpoint of 70 leaves"),
    ],
)  # fmt: skip
def test_each_change_of_the_store_is_found_and_named(
    frozen: FrozenClock, change: Change, row: str
) -> None:
    write(70)
    sealer.seal_due(now=frozen.now)
    key = AuditCheckpoint.objects.get().pk
    change()
    first = verify_store().first
    assert first is not None
    assert first.row == row.replace("checkpoint 1", f"checkpoint {key}")


def test_the_log_retains_its_name_when_the_public_address_changes(
    frozen: FrozenClock, override_environment: Any
) -> None:
    names = []
    for address in ("https://notify.example.com/c+d", "https://other.example.com"):
        override_environment(public_url=address)
        write(1)
        sealer.seal_due(now=frozen.now)
        frozen.forward(1)
        names.append(open_checkpoint(AuditCheckpoint.objects.order_by("-pk")[0].note).origin)
        assert public_key_line().startswith("notify.example.com/c-d/audit+")
    assert names == ["notify.example.com/c-d/audit"] * 2
    assert verify_store().faults == []
    AuditHead.objects.update(origin="third.example.com/audit")
    first = verify_store().first
    assert first is not None
    assert first.problem == "it is of another log"
