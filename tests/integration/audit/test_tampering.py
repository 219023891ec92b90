"""Every tampering with the audit store is found, and its first bad row is named."""

from __future__ import annotations

import random
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from notifications.domain.checkpoints import Checkpoint
from notifications.features.audit import retention, sealer
from notifications.features.audit.verify import Report, verify_store
from notifications.infra.audit_keys import open_checkpoint
from notifications.models import AuditCheckpoint, AuditLeaf
from notifications.models.audit.entries import record_erasure, write_slice
from tests.conftest import PROOF, FrozenClock
from tests.integration.audit.tampering import (
    TAMPERINGS,
    Named,
    Tampering,
    split_view,
    truncate,
)
from tests.integration.audit.world import write

pytestmark = pytest.mark.django_db

ALL = 10_000
SAMPLE = 30
"""Tamperings of each kind in `make test`."""
FOUND_LATE = {"checkpoint": (134,)}
"""Those of the exhaustive set that were not found once: another spelling of a signature."""


@pytest.fixture
def external(frozen: FrozenClock, override_environment: Any) -> list[Checkpoint]:
    """A store of some 120 leaves with every sort of row; returns checkpoints stored elsewhere."""
    override_environment(audit_retention_days=30, audit_decision_retention_days=30)
    stored: list[Checkpoint] = []
    for day in range(6):
        write(11, first=100 * day, at=frozen.now, subject_id=7 if day % 2 else None)
        for number in range(3):
            keys = range(1000 * day + 10 * number, 1000 * day + 10 * number + 4)
            write_slice([(key, f'[{key}, "sent", "x"]') for key in keys], at=frozen.now)
        sealer.seal_due(now=frozen.now)
        newest = AuditCheckpoint.objects.order_by("-pk")[0]
        stored.append(open_checkpoint(newest.note))
        frozen.forward(timedelta(days=9).total_seconds())
    record_erasure(7, reason="asked", actor="cli", at=frozen.now)
    retention.propose_ranges(now=frozen.now)
    sealer.seal_due(now=frozen.now)
    while retention.empty_contents(50)[0]:
        pass
    write(20, first=5000, at=frozen.now)
    sealer.seal_due(now=frozen.now)
    stored.append(open_checkpoint(AuditCheckpoint.objects.order_by("-pk")[0].note))
    return stored


def tampered(kind: Tampering, seed: str, external: list[Checkpoint]) -> tuple[Named, Report]:
    with transaction.atomic():
        named = kind(random.Random(seed))
        report = verify_store(external)
        transaction.set_rollback(True)
    return named, report


def check(kind: Tampering, seed: str, external: list[Checkpoint]) -> None:
    named, report = tampered(kind, seed, external)
    first = report.first
    assert first is not None, f"{kind.__name__} {seed} was not found"
    if named.within is None:
        assert first.row == named.row or _is_first_of(first.row, named.row), (seed, report.faults)
        return
    found = re.fullmatch(r"leaves (\d+) to (\d+)", first.row)
    assert found is not None, (seed, report.faults)
    assert int(found[1]) <= named.within <= int(found[2]), (seed, report.faults)


def _is_first_of(row: str, leaf: str) -> bool:
    """Whether a row names several missing leaves, and this one first."""
    return row.startswith(f"leaves {leaf.removeprefix('leaf ')} to ")


def test_the_untouched_store_is_sound_and_has_lawful_gaps(external: list[Checkpoint]) -> None:
    report = verify_store(external)
    assert report.faults == []
    assert report.leaves == AuditLeaf.objects.count() == 6 * 14 + 3 + 20
    assert report.let_go == AuditLeaf.objects.filter(data__isnull=True).count() > 40
    assert report.checkpoints == AuditCheckpoint.objects.count()


@pytest.mark.parametrize("kind", TAMPERINGS, ids=lambda kind: kind.__name__)
def test_a_sample_of_tamperings_is_found(kind: Tampering, external: list[Checkpoint]) -> None:
    for number in range(SAMPLE):
        check(kind, f"{kind.__name__} {number}", external)
    for number in FOUND_LATE.get(kind.__name__, ()):
        check(kind, f"proof {kind.__name__} {number}", external)


@pytest.mark.proof
@pytest.mark.parametrize("kind", TAMPERINGS, ids=lambda kind: kind.__name__)
def test_all_tamperings_are_found(kind: Tampering, external: list[Checkpoint]) -> None:
    for number in range(-(-ALL // len(TAMPERINGS)) if PROOF else 1):
        check(kind, f"proof {kind.__name__} {number}", external)


def test_truncation_and_split_views_need_a_checkpoint_from_elsewhere(
    external: list[Checkpoint],
) -> None:
    for kind in (truncate_entries, split_view):
        _, report = tampered(kind, "alone", [])
        assert report.first is None or report.first.may_follow, report.faults
        _, report = tampered(kind, "alone", external)
        assert report.first is not None
        assert not report.first.may_follow


def truncate_entries(rng: random.Random) -> Named:
    """Takes entries that let nothing go."""
    return truncate(rng, most=19)
