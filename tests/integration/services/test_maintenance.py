"""Maintenance is bounded, and safe to repeat at any time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from notifications.features.operations.metrics import metrics_response, queue_depth
from notifications.features.upkeep.maintenance import maintain
from notifications.models import DeliveryBatch, IdempotencyKey, InboundSms, SmsCharge
from notifications.queue import batches
from notifications.tasks import deliver
from notifications.tasks import maintain as maintain_task
from tests.integration.factories import make_messages

pytestmark = pytest.mark.django_db


def store_response(key: str, at) -> None:
    IdempotencyKey.objects.create(
        principal="key:1", method="POST", route="r", key=key, body_hash="h", created_at=at
    )


def test_keys_that_no_longer_replay_are_deleted(frozen):
    store_response("old", frozen.now - timedelta(hours=25))
    store_response("young", frozen.now - timedelta(hours=23))

    assert maintain()["idempotency_keys_deleted"] == 1
    assert maintain_task()["idempotency_keys_deleted"] == 0

    assert [row.key for row in IdempotencyKey.objects.all()] == ["young"]


def test_the_batches_of_dead_workers_are_taken_over(frozen):
    make_messages(1)
    batches.lease(owner="w", lane="default", seconds=10)
    frozen.forward(11)

    assert maintain()["batches_taken_over"] == 1
    assert DeliveryBatch.objects.get().owner is None


def test_depth_counts_batches_that_waited_for_half_a_minute(frozen):
    make_messages(3)
    assert queue_depth(frozen.now)["default"] == {"queued": 3, "overdue": 0, "age_s": 0}
    frozen.forward(40)
    assert queue_depth(frozen.now)["default"] == {"queued": 3, "overdue": 3, "age_s": 40}
    assert b'notification_queue_size{priority="default"} 3.0' in metrics_response()


def test_the_wake_up_task_needs_only_a_lane():
    assert deliver(lane="bulk", something_newer=1) is None


def test_sms_charges_and_inbound_texts_expire(frozen):
    for age in (0, 5):
        day = (frozen.now - timedelta(days=age)).date()
        SmsCharge.objects.create(day=day, message_id=age, attempt=1)
    for age in (0, 91):
        InboundSms.objects.create(
            provider="twilio",
            provider_message_id=f"SM{age}",
            keyword="other",
            content={},
            received_at=frozen.now - timedelta(days=age),
        )

    done = maintain()

    assert (done["sms_charges_deleted"], done["inbound_sms_deleted"]) == (1, 1)
    assert SmsCharge.objects.get().message_id == 0
    assert InboundSms.objects.get().provider_message_id == "SM0"
