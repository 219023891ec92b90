"""The shown scheduled status is the notification's true state, whatever runs at the same time."""

from __future__ import annotations

import threading
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from django.db import connection

from notifications.domain.callers import SYSTEM
from notifications.domain.channels import Lane
from notifications.domain.errors import CarillonError
from notifications.engine.runs import deliver_rows
from notifications.features.scheduling.service import ScheduleService
from notifications.infra import clock
from notifications.models import (
    Notification,
    NotificationMessage,
    ScheduledStatus,
    change_scheduled,
)
from notifications.models.delivery.notification import SCHEDULE_TRANSITIONS
from notifications.queue import batches
from notifications.queue.leases import Lease
from notifications.services import NotificationService
from tests.integration.factories import make_user

ROW_CHANNELS = ["in_app", "websocket"]
SENT = {"sent", "delivered"}


def scheduled(user: Any, channels: list[str]) -> Notification:
    """Creates a notification that has just become due."""
    body = {
        "recipients": [user.pk],
        "title": "T",
        "message": "M",
        "channels": channels,
        "scheduled_at": (clock.now() + timedelta(seconds=1)).isoformat(),
    }
    response = ScheduleService().schedule(body=body, caller=SYSTEM)
    return Notification.objects.get(pk=response.notification_ids[0])


def leased_in_time() -> list[Lease]:
    """Leases everything as a worker does when it is due."""
    later = clock.now() + timedelta(seconds=2)
    with clock.reading(lambda: later):
        found = [batches.lease(owner="w", lane=lane, seconds=60) for lane in Lane]
    return [lease for each in found for lease in each]


def cancelled(key: int, how: str) -> bool:
    """Returns whether the cancellation was reported as successful."""
    try:
        if how == "schedule":
            ScheduleService().cancel(identifier=key, caller=SYSTEM)
        else:
            response = NotificationService().cancel(identifier=key, caller=SYSTEM)
            return response.status == "cancelled"
    except CarillonError:
        return False
    return True


def check(key: int, reported: bool) -> None:
    """Checks that the report, the shown status and the delivery agree."""
    statuses = set(
        NotificationMessage.objects.filter(notification_id=key).values_list("status", flat=True)
    )
    shown = ScheduleService().status(identifier=key, caller=SYSTEM)
    assert reported == (not statuses & SENT), (reported, statuses)
    assert shown.scheduled_status == ("cancelled" if reported else "sent"), statuses
    assert shown.is_sent is not reported
    row = Notification.objects.get(pk=key)
    assert row.scheduled_status == shown.scheduled_status


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["schedule", "notification"])
@pytest.mark.parametrize("channels", [["in_app"], ["websocket"], ROW_CHANNELS])
def test_a_cancellation_during_a_dispatch_is_shown_as_it_was_reported(
    channels: list[str], how: str
) -> None:
    user = make_user()
    rows = [scheduled(user, channels) for _ in range(6)]
    leases = leased_in_time()
    assert leases
    reported: dict[int, bool] = {}
    start = threading.Barrier(2)

    def cancel() -> None:
        start.wait()
        for row in rows:
            reported[row.pk] = cancelled(row.pk, how)
        connection.close()

    racer = threading.Thread(target=cancel)
    racer.start()
    start.wait()
    for lease in leases:
        deliver_rows([lease], owner="w")
    racer.join()

    for row in rows:
        check(row.pk, reported[row.pk])


@pytest.mark.django_db
def test_a_notification_sent_on_one_channel_is_not_shown_as_cancelled() -> None:
    row = scheduled(make_user(), ROW_CHANNELS)
    first = next(lease for lease in leased_in_time() if lease.channel == "in_app")
    deliver_rows([first], owner="w")

    with pytest.raises(CarillonError) as refused:
        ScheduleService().cancel(identifier=row.pk, caller=SYSTEM)

    assert "sent" in str(refused.value)
    waiting = NotificationMessage.objects.get(notification_id=row.pk, channel="websocket")
    assert waiting.status == "pending", "nothing is cancelled by halves"
    response = NotificationService().cancel(identifier=row.pk, caller=SYSTEM)
    assert (response.status, response.cancelled) == ("delivered", ["websocket"])
    check(row.pk, reported=False)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("current", "target"), list(product(ScheduledStatus.values, ScheduledStatus.values))
)
def test_a_scheduled_status_follows_its_table(current: str, target: str) -> None:
    row = scheduled(make_user(), ["in_app"])
    Notification.objects.filter(pk=row.pk).update(scheduled_status=current)

    moved = change_scheduled([row.pk], ScheduledStatus(target))

    allowed = target in SCHEDULE_TRANSITIONS[current]
    assert moved == int(allowed)
    row.refresh_from_db()
    assert row.scheduled_status == (target if allowed else current)
