"""The source document's delivery engine and end-to-end workflow, under their names."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from asgiref.sync import SyncToAsync, async_to_sync, sync_to_async
from django.db import connections
from django.utils import timezone
from rest_framework.test import APIClient

from directory.models import User
from notifications.delivery.services import use_troubled
from notifications.domain.errors import Conflict
from notifications.domain.flow import US
from notifications.engine.dispatcher import Dispatcher
from notifications.infra import clock
from notifications.models import (
    DeliveryBatch,
    KillSwitch,
    NotificationMessage,
    NotificationTemplate,
    ProviderFlow,
)
from notifications.models.providers.provider_flow import now_us
from notifications.queue import batches
from notifications.services import NotificationDeliveryEngine
from tests.integration.factories import make_messages

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _fcm(settings):
    settings.CARILLON = replace(settings.CARILLON, push_provider="fcm")
    yield
    use_troubled({})
    # The engine's database work ran on asgiref's thread, whose connection outlives the test.
    SyncToAsync.single_thread_executor.submit(connections.close_all).result()


def make_push():
    user = User.objects.create(email="test@example.com", fcm_token="test_fcm_token")
    return NotificationMessage.objects.create(
        user=user,
        channel="push",
        title="Test Notification",
        body="Test body",
        scheduled_at=timezone.now(),
    )


class TestNotificationDeliveryEngine:
    @patch("notifications.services.FCMPushProvider.send")
    async def test_successful_push_delivery(self, mock_send):
        mock_send.return_value = {"success": True, "message_id": "fcm_message_123"}
        message = await sync_to_async(make_push)()

        result = await NotificationDeliveryEngine().deliver_message(message)

        assert result.success
        assert result.message_id == "fcm_message_123"
        await message.arefresh_from_db()
        assert message.status == "sent"

    @patch("notifications.services.FCMPushProvider.send")
    async def test_failed_delivery_with_retry(self, mock_send, frozen):
        mock_send.side_effect = [
            {"success": False, "error": "Service unavailable", "retry": True},
            {"success": True, "message_id": "fcm_message_456"},
        ]
        waits = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            frozen.forward(seconds)

        message = await sync_to_async(make_push)()
        result = await NotificationDeliveryEngine(sleep=sleep).deliver_message(message)

        assert result.success
        assert mock_send.call_count == 2
        assert len(waits) == 1
        assert 1.5 <= waits[0] <= 5

    @patch("notifications.services.FCMPushProvider.send")
    async def test_the_last_failure_is_returned(self, mock_send, frozen):
        mock_send.return_value = {"success": False, "error": "Service unavailable", "retry": True}

        async def sleep(seconds: float) -> None:
            frozen.forward(seconds)

        message = await sync_to_async(make_push)()
        result = await NotificationDeliveryEngine(sleep=sleep).deliver_message(message)

        assert (result.success, result.error, result.retry) == (False, "Service unavailable", False)
        assert mock_send.call_count == 3

    @pytest.mark.parametrize(("late", "sent"), [(2, True), (99, False)])
    @patch("notifications.services.FCMPushProvider.send")
    async def test_a_message_that_misses_its_slot_takes_the_next(
        self, mock_send, frozen, monkeypatch, late, sent
    ):
        """The process ran too late, as on a machine under load, and no provider was called."""
        mock_send.return_value = {"success": True, "message_id": "fcm_message_789"}
        slots = []

        async def slot(provider: str, items: Any) -> float | None:
            slots.append(provider)
            return clock.monotonic() - 1 if len(slots) <= late else None

        async def sleep(seconds: float) -> None:
            frozen.forward(seconds)

        monkeypatch.setattr(Dispatcher, "_wait_for_slot", staticmethod(slot))
        message = await sync_to_async(make_push)()
        result = await NotificationDeliveryEngine(sleep=sleep).deliver_message(message)

        assert (result.success, result.retry) == (sent, not sent)
        assert (len(slots), mock_send.call_count) == ((3, 1) if sent else (11, 0))

    async def test_a_message_that_a_worker_sends_is_refused(self):
        (message,) = await sync_to_async(make_messages)(1)
        await sync_to_async(batches.lease)(owner="w", lane="default", seconds=60)

        with pytest.raises(Conflict) as refused:
            await NotificationDeliveryEngine().deliver_message(message)

        assert refused.value.code == "already_sending"

    async def test_a_message_that_must_wait_stays_queued(self):
        (message,) = await sync_to_async(make_messages)(1)
        later = timezone.now() - timedelta(hours=1)
        await NotificationMessage.objects.filter(pk=message.pk).aupdate(scheduled_at=later)
        await User.objects.aupdate(is_active=False)

        result = await NotificationDeliveryEngine().deliver_message(message)

        assert (result.success, result.error) == (False, "suppressed: user_inactive")
        assert (result.reason, result.retry) == ("user_inactive", False)

    @patch("notifications.services.FCMPushProvider.send")
    async def test_the_providers_response_is_returned(self, mock_send):
        said = {"results": [{"message_id": "m1"}]}
        mock_send.return_value = {"success": True, "message_id": "m1", "provider_response": said}
        message = await sync_to_async(make_push)()

        result = await NotificationDeliveryEngine().deliver_message(message)

        assert (result.provider_response, result.error, result.reason) == (said, None, None)

    @patch("notifications.services.FCMPushProvider.send")
    async def test_a_permanent_error_has_its_code_and_response(self, mock_send):
        said = {"error": "NotRegistered"}
        mock_send.return_value = {
            "success": False,
            "error": "gone",
            "error_code": "unregistered",
            "provider_response": said,
        }
        message = await sync_to_async(make_push)()

        result = await NotificationDeliveryEngine().deliver_message(message)

        assert (result.error, result.reason, result.retry) == ("gone", "unregistered", False)
        assert result.provider_response == said

    @pytest.mark.parametrize(
        ("held", "reason"),
        [
            (
                lambda: KillSwitch.objects.create(
                    scope="all", value="", reason="drill", actor="t", created_at=timezone.now()
                ),
                "kill_switch:all",
            ),
            (
                lambda: ProviderFlow.objects.create(service="fcm", open_until=now_us() + 60 * US),
                "breaker:fcm",
            ),
        ],
        ids=["stop", "breaker"],
    )
    async def test_the_reason_why_a_message_waits_is_returned(self, held, reason):
        message = await sync_to_async(make_push)()
        await sync_to_async(held)()

        result = await NotificationDeliveryEngine().attempt_once(message)

        assert (result.success, result.retry, result.reason) == (False, True, reason)
        assert result.error == f"pending: {reason}"
        assert result.provider_response is None

    async def test_an_inbox_message_is_delivered(self):
        (message,) = await sync_to_async(make_messages)(1, channel="in_app")

        result = await NotificationDeliveryEngine().deliver_message(message)

        assert result.success
        assert (message.status, message.title, message.body) == ("delivered", "Title", "Body")


class TestNotificationWorkflow:
    """004 awaits a synchronous client; beside that, its steps and assertions stand as written."""

    @patch("notifications.services.FCMPushProvider.send")
    def test_end_to_end_notification_flow(self, mock_fcm_send):
        mock_fcm_send.return_value = {"success": True, "message_id": "test_message_id"}
        user = User.objects.create(
            email="integration@test.com",
            first_name="Integration",
            last_name="Test",
            fcm_token="test_fcm_token",
        )
        NotificationTemplate.objects.create(
            name="test_template",
            path="test.integration",
            push_template="Hello {{ user.first_name }}!",
            email_subject_template="Test Subject",
            email_body_template="Hello {{ user.first_name }}, this is a test.",
            supported_channels=["push", "email"],
            required_variables=["user.first_name"],
        )
        client = APIClient()
        client.force_authenticate(user=user)

        response = client.post(
            "/api/v1/notifications/send",
            {
                "template_path": "test.integration",
                "user_id": str(user.uuid),  # a number in quotes names no user
                "channel": "push",
                "priority": 2,
                "context": {"user": {"first_name": "Integration"}},
            },
        )

        assert response.status_code == 201
        notification_id = response.json()["id"]
        message = NotificationMessage.objects.get(id=notification_id)
        result = async_to_sync(NotificationDeliveryEngine().deliver_message)(message)

        assert result.success
        message.refresh_from_db()
        assert message.status == "sent"
        assert message.sent_at is not None
        mock_fcm_send.assert_called_once()
        assert "Hello Integration!" in str(mock_fcm_send.call_args[0])
        assert not DeliveryBatch.objects.filter(pk=message.batch_id).exists()
