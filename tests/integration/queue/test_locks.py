"""A row that another transaction locks delays nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from notifications.domain.channels import Lane
from notifications.engine.runs import deliver_rows
from notifications.infra import clock
from notifications.infra.database import clock_bridge
from notifications.infra.process import identity as processes
from notifications.models import DeliveryBatch, NotificationMessage, WorkerProcess
from notifications.models.providers.provider_flow import now_us
from notifications.queue import batches, takeover
from tests.integration.factories import make_messages

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer"),
]


@contextmanager
def locked_elsewhere(batch_id: int) -> Iterator[None]:
    """Another session holds the batch's row, as a host does that vanished in a transaction."""
    settings = connection.settings_dict
    with (
        psycopg.connect(
            host=settings["HOST"], user=settings["USER"], dbname=settings["NAME"]
        ) as other,
        other.cursor() as cursor,
    ):
        cursor.execute(
            "SELECT 1 FROM notifications_deliverybatch WHERE id = %s FOR UPDATE", [batch_id]
        )
        yield
        other.rollback()


def two_leases() -> list[Any]:
    make_messages(2, channel="in_app")
    make_messages(2, channel="in_app")
    leases = batches.lease(owner="w", lane=Lane.DEFAULT, seconds=60)
    assert len(leases) == 2
    return leases


def test_other_batches_are_held_and_the_locked_one_is_still_ours():
    locked, free = two_leases()
    with locked_elsewhere(locked.batch_id), transaction.atomic():
        held = batches.lock_owned([locked, free], "w")
    assert (held.living, held.busy) == ({free.batch_id}, {locked.batch_id})
    assert not locked.lost


def test_a_renewal_leaves_the_locked_batch_out_and_says_so_by_its_time():
    locked, free = two_leases()
    before = locked.renewed_at
    with locked_elsewhere(locked.batch_id):
        batches.renew([locked, free], "w", 60)
    assert locked.renewed_at == before
    assert free.renewed_at > before
    assert not locked.lost


def test_what_is_free_is_delivered_and_the_locked_batch_waits():
    locked, free = two_leases()
    with locked_elsewhere(locked.batch_id):
        deliver_rows([locked, free], owner="w")
    statuses = NotificationMessage.objects.values_list("batch_id", "status")
    assert set(statuses) == {(locked.batch_id, "pending"), (free.batch_id, "delivered")}
    deliver_rows([locked], owner="w")
    assert not NotificationMessage.objects.exclude(status="delivered").exists()


def test_a_sweep_passes_a_locked_batch_by():
    locked, free = two_leases()
    now = clock.now()
    DeliveryBatch.objects.update(lease_until=now - timedelta(days=1))
    WorkerProcess.objects.create(owner="w", started_at=now, lease_until=now - timedelta(seconds=1))
    with locked_elsewhere(locked.batch_id):
        assert takeover.sweep().batches == 1
    assert takeover.sweep().batches == 1
    assert free.batch_id != locked.batch_id


def test_a_dead_owner_is_found_again_until_its_last_batch_is_taken_over(monkeypatch: Any):
    """A host that vanished inside a transaction holds its batch for a while: it is not left to the
    full sweep of every minute."""
    locked, free = two_leases()
    now = clock.now()
    WorkerProcess.objects.create(owner="w", started_at=now, lease_until=now)
    monkeypatch.setattr(processes, "has_ended", lambda name: name == "w")
    with locked_elsewhere(locked.batch_id):
        assert takeover.sweep().batches == 1
    assert takeover.sweep().batches == 1
    assert takeover.sweep().batches == 0
    assert not WorkerProcess.objects.filter(owner="w").exists()
    assert free.batch_id != locked.batch_id


def test_a_worker_whose_clock_is_an_hour_ahead_lets_nothing_expire_early(monkeypatch: Any):
    """The database's clock decides what has expired and when something is tried again."""
    (message,) = make_messages(1, channel="in_app")
    real = clock.now
    message.notification.expires_at = real() + timedelta(minutes=15)
    message.notification.save()
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(hours=1))
    now_us()
    assert abs(clock_bridge.database_now() - real()) < timedelta(seconds=5)

    (lease,) = batches.lease(owner="w", lane=Lane.DEFAULT, seconds=60)
    deliver_rows([lease], owner="w")

    message.refresh_from_db()
    assert message.status == "delivered"
    assert abs(message.delivered_at - real()) < timedelta(minutes=1)


def test_a_free_batch_that_another_has_locked_is_not_waited_for():
    make_messages(1, channel="in_app")
    batch = DeliveryBatch.objects.get()
    with locked_elsewhere(batch.pk), transaction.atomic():
        assert batches.lease_free(batch.pk, owner="w", seconds=60) is None
    with transaction.atomic():
        leased = batches.lease_free(batch.pk, owner="w", seconds=60)
    assert leased is not None
    assert leased.batch_id == batch.pk
