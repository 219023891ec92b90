"""Data keys without a row are deleted after a day, and no others."""

from __future__ import annotations

from datetime import timedelta

import pytest

from directory.models import AddressKey
from notifications.domain.messages import Attachment
from notifications.features.privacy.orphans import HOLDERS, OrphanSweep
from notifications.infra import clock
from notifications.models import InstallationState, StoredAttachment, attachments_of
from tests.integration.factories import make_user
from vault.models import DataKey, ErasedKey
from vault.store import create_keys

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1, seconds=5)


def test_only_a_key_without_a_row_goes_and_only_after_a_day():
    user = make_user()
    (orphan, of_address) = create_keys(2)
    AddressKey.objects.create(kind="email", index="x", key_id=of_address.id)
    assert OrphanSweep().step(now=clock.now()) == 0
    assert OrphanSweep().step(now=clock.now() + DAY) == 1
    assert set(DataKey.objects.values_list("pk", flat=True)) == {user.key_id, of_address.id}
    assert ErasedKey.objects.filter(pk=orphan.id).exists()


def test_the_key_of_a_file_for_several_people_stays_with_the_file():
    (key,) = create_keys(1, DataKey.Kind.FILE)
    plan = Attachment("plan.pdf", "application/pdf", b"%PDF-1")
    (number,) = StoredAttachment.objects.store(
        [plan], keys=[1, 2], due_at=clock.now(), data_key=key
    )
    assert OrphanSweep().step(now=clock.now() + DAY) == 0
    assert attachments_of([number])[0].content == b"%PDF-1"


def test_each_kind_of_key_has_a_model_that_holds_it():
    assert HOLDERS.keys() == set(DataKey.Kind)
    for model in HOLDERS.values():
        model._meta.get_field("key_id")


def test_a_step_is_bounded_and_the_next_one_continues(monkeypatch):
    monkeypatch.setattr("notifications.features.privacy.orphans.AT_ONCE", 2)
    create_keys(3)
    sweep = OrphanSweep()
    assert [sweep.step(now=clock.now() + DAY) for _ in range(3)] == [2, 1, 0]


def test_nothing_is_deleted_from_the_store_of_another_database():
    create_keys(20)
    assert OrphanSweep().step(now=clock.now() + DAY) == 0
    assert DataKey.objects.count() == 20


def test_nothing_is_deleted_for_a_week_after_a_restore():
    create_keys(1)
    InstallationState.objects.settle(at=clock.now(), backup_at=clock.now())
    assert OrphanSweep().step(now=clock.now() + DAY) == 0
    assert OrphanSweep().step(now=clock.now() + timedelta(days=8)) == 1
