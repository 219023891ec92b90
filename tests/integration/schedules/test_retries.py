"""A failing provider: three retries after 5, 10 and 20 minutes, stored in due rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest

from notifications.domain.messages import SendResult, Verdict
from notifications.engine.settlement import settle
from notifications.infra import clock
from notifications.models import Notification, NotificationMessage
from notifications.scheduler import NotificationScheduler
from tests.integration.factories import make_user
from tests.integration.preferences.conftest import work

pytestmark = pytest.mark.django_db


def fails(item: Any, result: SendResult, *, at: Any) -> Any:
    return settle(item, SendResult(Verdict.RETRY, error="away", error_code="away"), at=at)


def test_retries_come_after_five_ten_and_twenty_minutes(frozen: Any) -> None:
    at = clock.now() + timedelta(hours=1)
    (key,) = NotificationScheduler().schedule_notification([make_user().pk], "T", "M", at)
    frozen.forward(3600)

    with patch("notifications.engine.settlement.settle", fails):
        for minutes in (5, 10, 20):
            assert work() == 1
            message = NotificationMessage.objects.get()
            assert message.status == "pending"
            assert message.scheduled_at == clock.now() + timedelta(minutes=minutes)
            frozen.forward(minutes * 60 - 1)
            assert work() == 0
            frozen.forward(1)
        assert work() == 1

    message = NotificationMessage.objects.get()
    assert (message.status, message.attempts) == ("failed", 4)
    status = NotificationScheduler().get_schedule_status(key)
    assert status is not None
    assert status["scheduled_status"] == "failed"


def test_the_task_makes_one_attempt_and_leaves_retries_to_the_workers(frozen: Any) -> None:
    at = clock.now() + timedelta(hours=1)
    (key,) = NotificationScheduler().schedule_notification([make_user().pk], "T", "M", at)

    with patch("notifications.engine.settlement.settle", fails):
        assert NotificationScheduler().send_scheduled_notification(key) is False

    assert NotificationMessage.objects.get().scheduled_at == clock.now() + timedelta(minutes=5)
    frozen.forward(300)
    work()
    assert Notification.objects.get().scheduled_status == "sent"
