"""A verification names a checkpoint that is missing in the middle."""

from __future__ import annotations

from datetime import timedelta

import pytest

from notifications.features.audit.retention import delete_surplus_checkpoints
from notifications.features.audit.sealer import seal_due
from notifications.features.audit.verify import verify_store
from notifications.models import AuditCheckpoint, AuditHead
from tests.integration.audit.world import write

pytestmark = pytest.mark.django_db


@pytest.fixture
def signed(frozen):
    """Eight checkpoints, two an hour; the first of each hour stays for good."""
    for number in range(8):
        write(1, first=number, at=frozen.now)
        seal_due(now=frozen.now)
        frozen.forward(1_800)
    return list(AuditCheckpoint.objects.order_by("pk"))


def problems():
    return [fault.problem for fault in verify_store().faults]


def test_checkpoints_are_numbered_and_a_whole_store_is_sound(signed, frozen):
    assert [row.sequence for row in signed] == list(range(1, 9))
    assert [row.hourly for row in signed] == [True, False] * 4
    assert AuditHead.objects.get().checkpoints == 8
    assert problems() == []
    frozen.forward(86_400 + 14_400)
    assert delete_surplus_checkpoints(now=frozen.now) == 3
    assert problems() == []


def test_a_missing_hourly_checkpoint_is_found_at_any_age(signed, frozen):
    AuditCheckpoint.objects.filter(sequence=3).delete()
    assert problems() == ["the hourly checkpoint number 3 before it is missing"]
    frozen.forward(30 * 86_400)
    delete_surplus_checkpoints(now=frozen.now)
    assert problems() == ["the hourly checkpoint number 3 before it is missing"]


def test_a_missing_checkpoint_of_the_last_day_is_found(signed, frozen):
    AuditCheckpoint.objects.filter(sequence=4).delete()
    assert problems() == ["the checkpoint number 4 before it is missing"]
    frozen.forward(86_400)
    assert problems() == [], "upkeep deletes it by then"


def test_the_first_checkpoint_may_not_be_missing(signed):
    AuditCheckpoint.objects.filter(sequence=1).delete()
    assert problems() == ["the hourly checkpoint number 1 before it is missing"]


@pytest.mark.parametrize(
    "change", [{"sequence": 9}, {"previous_hourly": 1}, {"hourly": False}, {"tag": b"x" * 16}]
)
def test_a_changed_number_is_found(signed, change):
    AuditCheckpoint.objects.filter(sequence=5).update(**change)
    assert "its number was changed" in problems()


def test_a_copied_checkpoint_is_found(signed):
    row = signed[2]
    row.pk = None
    row.save(force_insert=True)
    assert "it was inserted or moved" in problems()


def test_checkpoints_of_an_older_release_have_no_number(signed, frozen):
    AuditCheckpoint.objects.filter(sequence__lte=4).update(
        sequence=None, previous_hourly=None, tag=None
    )
    found = problems()
    assert found == ["the hourly checkpoint number 3 before it is missing"], found
    # An upgraded log begins with number 1, which names none before it.
    AuditCheckpoint.objects.filter(sequence__gt=4).update(
        sequence=None, previous_hourly=None, tag=None
    )
    AuditHead.objects.update(checkpoints=0, last_hourly=0)
    write(1, first=9, at=frozen.now + timedelta(hours=2))
    seal_due(now=frozen.now + timedelta(hours=2))
    assert problems() == []
