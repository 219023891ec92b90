"""A message that is erased while its opens and clicks are written: nothing of it stays."""

from __future__ import annotations

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction

from notifications.domain.engagement import EventKind
from notifications.features.retention.messages import delete_notifications
from notifications.features.tracking.collector import Hit
from notifications.features.tracking.recording import write_hits
from notifications.infra import clock
from notifications.models import NotificationAnalytics, NotificationMessage, TrackingEvent
from notifications.services import NotificationAnalyticsService
from tests.integration.factories import make_messages, make_user
from tests.integration.races import PATIENCE_S, Other, other, wait_until_blocked_or_done

__all__ = ["other"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer"),
]


def hit(message_id: int) -> Hit:
    return Hit(
        message_id, EventKind.CLICK, 0, clock.now(), "GET", "Mozilla/5.0", "192.0.2.0/24", {}
    )


@pytest.fixture
def message() -> NotificationMessage:
    (made,) = make_messages(1, channel="email", user=make_user(), in_batch=False)
    NotificationMessage.objects.filter(pk=made.pk).update(sent_at=clock.now())
    return made


def test_hits_of_a_message_that_is_being_deleted_are_dropped(
    message: NotificationMessage, other: Other
) -> None:
    with transaction.atomic():
        delete_notifications([message.notification_id])
        work = other.start(lambda: write_hits([hit(message.pk)]))
        wait_until_blocked_or_done(work)
    assert work.result(PATIENCE_S) == []
    assert not TrackingEvent.objects.exists()
    assert not NotificationAnalytics.objects.exists()


def test_hits_that_are_being_written_go_with_their_message(
    message: NotificationMessage, other: Other
) -> None:
    with transaction.atomic():
        write_hits([hit(message.pk)])
        work = other.start(lambda: delete_notifications([message.notification_id]))
        wait_until_blocked_or_done(work)
    assert work.result(PATIENCE_S)["notifications_trackingevent"] == 1
    assert not TrackingEvent.objects.exists()
    assert not NotificationAnalytics.objects.exists()


def test_what_is_reported_of_a_message_that_is_being_deleted_is_dropped(
    message: NotificationMessage, other: Other
) -> None:
    opened = async_to_sync(NotificationAnalyticsService().track_notification_opened)
    with transaction.atomic():
        delete_notifications([message.notification_id])
        work = other.start(lambda: opened(str(message.pk), {}))
        wait_until_blocked_or_done(work)
    assert work.result(PATIENCE_S) is None
    assert not NotificationAnalytics.objects.exists()
