"""Contents are let go by age and for a person, after a sealed leaf says so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from notifications.features.audit import verify
from notifications.features.audit.queries import AuditFilter, page_of_entries
from notifications.features.audit.retention import empty_contents, propose_ranges
from notifications.features.audit.sealer import seal_due
from notifications.features.audit.verify import verify_store
from notifications.features.upkeep.maintenance import maintain
from notifications.infra.crypto import SealBroken
from notifications.models import AuditCheckpoint, AuditHead, AuditLeaf, AuditQueued, LeafKind
from notifications.models.audit.entries import open_entry, record_erasure, write_slice
from tests.conftest import FrozenClock
from tests.integration.audit.world import write

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1).total_seconds()


def seal(frozen: FrozenClock) -> None:
    seal_due(now=frozen.now)


def empty_all(count: int = 10) -> int:
    emptied, step = 0, empty_contents(count)
    while step[0]:
        emptied += step[1]
        step = empty_contents(count)
    return emptied


def test_old_contents_go_once_a_leaf_says_so(frozen: FrozenClock, override_environment: Any):
    override_environment(audit_retention_days=100, audit_decision_retention_days=40)
    write(25, at=frozen.now)
    write_slice([(1, '[1, "sent", "x"]')], at=frozen.now)
    seal(frozen)
    frozen.forward(50 * DAY)
    write(5, first=100, at=frozen.now)
    seal(frozen)

    assert propose_ranges(now=frozen.now) == 1
    assert propose_ranges(now=frozen.now) == 0, "one is queued"
    assert empty_all() == 0, "it is not sealed"
    seal(frozen)
    assert propose_ranges(now=frozen.now) == 0, "one a day"
    assert empty_all() == 1
    assert AuditLeaf.objects.get(data=None).kind == LeafKind.SLICE
    assert AuditLeaf.objects.get(kind=LeafKind.RETENTION).target == "slices:26"

    frozen.forward(51 * DAY)
    assert propose_ranges(now=frozen.now) == 2
    seal(frozen)
    assert empty_all() == 25
    assert empty_all() == 0
    report = verify_store()
    assert (report.faults, report.let_go) == ([], 26)
    shown = page_of_entries(AuditFilter(target="thing:3"), after=0, limit=5)
    assert [(row.is_stored, row.before, row.actor) for row in shown] == [(False, None, "user:1")]


def test_an_erased_persons_contents_go_and_no_other(frozen: FrozenClock) -> None:
    write(12, at=frozen.now, subject_id=7)
    write(3, first=100, at=frozen.now, subject_id=8)
    seal(frozen)
    record_erasure(7, reason="asked", actor="cli", at=frozen.now)
    assert empty_all() == 0
    seal(frozen)
    write(2, first=200, at=frozen.now, subject_id=7)
    seal(frozen)
    assert empty_all(5) == 12
    assert set(AuditLeaf.objects.filter(data=None).values_list("subject_id", flat=True)) == {7}
    assert verify_store().faults == []
    assert AuditLeaf.objects.filter(subject_id=7, data__isnull=False).count() == 2


def test_the_upkeep_does_all_of_it(frozen: FrozenClock, override_environment: Any) -> None:
    override_environment(audit_retention_days=30)
    for _ in range(3):
        write(4, at=frozen.now)
        seal(frozen)
        frozen.forward(60)
    frozen.forward(40 * DAY)
    for _ in range(2):
        done = maintain()
        seal(frozen)
    assert done["audit_contents_let_go"] == 12
    assert AuditCheckpoint.objects.filter(at_ms__lt=AuditHead.objects.get().signed_ms).count() >= 1
    assert verify_store().faults == []


def test_checkpoints_of_one_hour_go_after_a_day_but_the_first(frozen: FrozenClock) -> None:
    for _ in range(5):
        write(1, at=frozen.now)
        seal(frozen)
        frozen.forward(60)
    frozen.forward(2 * DAY)
    assert maintain()["audit_checkpoints_deleted"] == 3
    sizes = AuditCheckpoint.objects.order_by("pk").values_list("size", flat=True)
    assert list(sizes) == [1, 5], "the first of the hour, and the newest"
    assert verify_store().faults == []


def test_a_content_of_another_key_is_reported_as_gone_and_verifies(frozen: FrozenClock) -> None:
    write(1, at=frozen.now)
    row = AuditQueued.objects.get()
    sealed = bytes(row.data)[:-1] + bytes([bytes(row.data)[-1] ^ 1])
    AuditQueued.objects.update(data=sealed)
    seal(frozen)
    with pytest.raises(SealBroken):
        open_entry(sealed)
    (shown,) = page_of_entries(AuditFilter(), after=0, limit=5)
    assert not shown.is_stored
    assert verify_store().faults == [], "the tree is over sealed bytes"


def test_what_is_let_go_during_a_verification_is_lawful(
    frozen: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(12, at=frozen.now, subject_id=7)
    seal(frozen)
    pages = verify.read_leaves

    def read_while_erasing() -> Any:
        record_erasure(7, reason="asked", actor="cli", at=frozen.now)
        seal(frozen)
        assert empty_all() == 12
        return pages()

    monkeypatch.setattr(verify, "read_leaves", read_while_erasing)
    report = verify_store()
    assert (report.faults, report.leaves, report.let_go) == ([], 12, 12)
