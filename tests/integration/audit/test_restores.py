"""A restore of a backup is distinguished from a log that was cut off."""

from __future__ import annotations

import pytest

from notifications.features.audit import sealer
from notifications.features.audit.restores import (
    ACTION,
    OtherHistory,
    check_continues,
    record_restore,
    restore_points,
)
from notifications.features.audit.verify import verify_store
from notifications.infra.audit_keys import open_checkpoint
from notifications.models import AuditCheckpoint, AuditHead, AuditLeaf, AuditNode
from notifications.models.audit.entries import NewEntry, write_entry
from tests.integration.audit.world import write

pytestmark = pytest.mark.django_db


def newest():
    return open_checkpoint(AuditCheckpoint.objects.order_by("-pk")[0].note)


def seal(count, frozen, first=0):
    write(count, first=first, at=frozen.now)
    sealer.seal_due(now=frozen.now)
    frozen.forward(10)
    return newest()


@pytest.fixture
def lost(frozen):
    """A tree of 20 leaves as in a backup; returns the checkpoint of 30 that were lost."""
    seal(20, frozen)
    rows = {
        model: list(model.objects.values())
        for model in (AuditHead, AuditLeaf, AuditNode, AuditCheckpoint)
    }
    later = seal(10, frozen, first=20)
    for model, values in rows.items():
        model.objects.all().delete()
        model.objects.bulk_create(model(**each) for each in values)
    return later


def restore(frozen):
    record_restore(at=frozen.now, details={"x": 1})
    sealer.seal_due(now=frozen.now)
    frozen.forward(10)


@pytest.mark.parametrize("more", [0, 30])
def test_a_restore_explains_a_checkpoint_of_lost_leaves(lost, frozen, more):
    restore(frozen)
    seal(more, frozen, first=100) if more else None
    report = verify_store([lost])
    assert (report.count, report.first) == (0, None)
    (found,) = report.lost
    assert (found.number, found.row) == (20, "leaves 20 to 29")
    assert [point.size for point in report.restores] == [20]


@pytest.mark.parametrize("more", [0, 30])
def test_without_a_restore_the_same_is_a_fault(lost, frozen, more):
    seal(more, frozen, first=100) if more else None
    report = verify_store([lost])
    assert report.count == 1
    assert report.lost == []


def test_an_entry_that_another_made_explains_nothing(lost, frozen):
    target = f"leaves:20:{'0' * 32}"
    write_entry(NewEntry(actor="cli", action=ACTION, target=target), at=frozen.now)
    sealer.seal_due(now=frozen.now)
    report = verify_store([lost])
    assert (restore_points(), report.lost) == ([], [])
    assert report.count == 1


def test_a_checkpoint_after_the_restore_is_not_explained_by_it(lost, frozen):
    restore(frozen)
    newer = seal(30, frozen, first=100)
    AuditLeaf.objects.filter(number__gte=40).delete()
    AuditHead.objects.update(size=40)
    report = verify_store([newer])
    assert report.count
    assert report.lost == []


def test_a_restored_tree_continues_the_checkpoint_of_its_archive(lost, frozen):
    check_continues(newest())
    with pytest.raises(OtherHistory):
        check_continues(lost)
