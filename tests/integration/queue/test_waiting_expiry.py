"""What waits expires when its time is over, whatever it waits for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from directory.models import ContactPoint
from notifications.domain.callers import SYSTEM
from notifications.domain.channels import Lane
from notifications.engine.runs import deliver_rows
from notifications.features.sending.move import enqueue
from notifications.features.upkeep.expiring import expire_waiting
from notifications.models import DeliveryBatch, KillSwitch, Notification, NotificationMessage
from notifications.queue import batches, takeover
from notifications.services import NotificationService
from tests.integration.factories import make_messages, make_template, make_user

pytestmark = pytest.mark.django_db


def expiring(frozen: Any, *seconds: int | None) -> list[NotificationMessage]:
    """Messages of one batch that expire after so many seconds each."""
    made = make_messages(len(seconds))
    ends = [None if s is None else frozen.now + timedelta(seconds=s) for s in seconds]
    for message, end in zip(made, ends, strict=True):
        Notification.objects.filter(pk=message.notification_id).update(expires_at=end)
    first = min((end for end in ends if end is not None), default=None)
    DeliveryBatch.objects.filter(pk=made[0].batch_id).update(expires_at=first)
    return made


def stop(scope: str, value: str, frozen: Any) -> None:
    KillSwitch.objects.create(scope=scope, value=value, reason="repair", created_at=frozen.now)


def statuses(made: list[NotificationMessage]) -> list[str]:
    rows = NotificationMessage.objects.filter(pk__in=[message.pk for message in made])
    return [row.status for row in rows.order_by("pk")]


def test_what_waits_under_a_stop_expires_in_time(frozen: Any) -> None:
    stop("channel", "email", frozen)
    made = expiring(frozen, 10, 20, None)

    frozen.forward(9)
    assert expire_waiting(now=frozen.now) == 0
    frozen.forward(1)
    assert expire_waiting(now=frozen.now) == 1
    assert statuses(made) == ["expired", "pending", "pending"]
    frozen.forward(10)
    assert expire_waiting(now=frozen.now) == 1
    assert expire_waiting(now=frozen.now) == 0

    assert statuses(made) == ["expired", "expired", "pending"]
    batch = DeliveryBatch.objects.get()
    assert (batch.owner, batch.expires_at, batch.journal) == (None, None, "")
    entry = NotificationMessage.objects.get(pk=made[0].pk).history()[-1]
    assert (entry["event"], entry["reason"]) == ("expired", "expires_at_passed")


def test_a_batch_of_which_all_has_expired_is_gone(frozen: Any) -> None:
    made = expiring(frozen, 1, 1)
    frozen.forward(2)

    assert expire_waiting(now=frozen.now) == 2

    assert statuses(made) == ["expired", "expired"]
    assert not DeliveryBatch.objects.exists()


def test_what_a_worker_holds_is_left_to_it(frozen: Any) -> None:
    made = expiring(frozen, 1)
    frozen.forward(2)
    (held,) = batches.lease(owner="w", lane=Lane.DEFAULT, seconds=60)

    assert expire_waiting(now=frozen.now) == 0

    batches.release([held], "w")
    assert expire_waiting(now=frozen.now) == 1
    assert statuses(made) == ["expired"]


def accepted(frozen: Any, **options: Any) -> NotificationMessage:
    make_template()
    user = make_user()
    body = {
        "template_path": "test.hello",
        "user_id": user.pk,
        "channel": "email",
        "context": {"amount": 5},
        "expires_at": (frozen.now + timedelta(hours=1)).isoformat(),
        "options": options,
    }
    answer = NotificationService().send(body=body, caller=SYSTEM)
    return NotificationMessage.objects.get(notification__uuid=answer.id)


def worked() -> None:
    leases = batches.lease(owner="w", lane=Lane.DEFAULT, seconds=10)
    deliver_rows(leases, owner="w")


def put_off(frozen: Any) -> None:
    stop("template", "test.hello", frozen)
    worked()


def taken_over(frozen: Any) -> None:
    """Twice: the second worker that dies of a batch has it divided."""
    for _ in range(2):
        batches.lease(owner="w", lane=Lane.DEFAULT, seconds=10)
        frozen.forward(11)
        takeover.sweep(everywhere=True)


def died_inside(frozen: Any) -> None:
    (held,) = batches.lease(owner="w", lane=Lane.DEFAULT, seconds=10)
    assert batches.journal_one(held, next(iter(held.open_keys)), "w")
    frozen.forward(11)
    takeover.sweep(everywhere=True)


def queued_again(_frozen: Any) -> None:
    message = NotificationMessage.objects.get()
    DeliveryBatch.objects.all().delete()
    enqueue([message])


WAYS = [put_off, taken_over, died_inside, queued_again]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_way_into_the_queue_keeps_the_end(way: Any, frozen: Any) -> None:
    message = accepted(frozen)
    first = DeliveryBatch.objects.get()
    assert first.expires_at == message.notification.expires_at

    way(frozen)

    batch = DeliveryBatch.objects.get()
    assert (batch.pk, batch.fence) != (first.pk, first.fence)
    assert batch.expires_at == message.notification.expires_at


def test_the_next_channel_ends_with_its_notification(frozen: Any) -> None:
    message = accepted(frozen, fallback=["in_app"])
    ContactPoint.objects.filter(user=message.user).update(state="bounced")

    worked()

    assert NotificationMessage.objects.get(channel="in_app").status == "pending"
    batch = DeliveryBatch.objects.get()
    assert (batch.channel, batch.expires_at) == ("in_app", message.notification.expires_at)
