"""The source document's websocket service, under its names."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from unittest.mock import AsyncMock, patch

import pytest
from asgiref.sync import SyncToAsync, sync_to_async
from channels.testing import WebsocketCommunicator
from django.db import connections

from directory.models import Group, GroupMembership, User
from notifications.domain.errors import InvalidRequest, NotFound
from notifications.features.access.authentication import issue_access
from notifications.features.rooms.presence import begin_lease, write_people
from notifications.infra import clock
from notifications.realtime import threads
from notifications.realtime.center import Center
from notifications.realtime.consumers import NotificationConsumer
from notifications.realtime.limits import ConnectionLimits
from notifications.services import WebSocketNotificationService
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE_S = 10.0
LAYER = "notifications.services.websocket.get_channel_layer"


@pytest.fixture(autouse=True)
def _closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(threads, "close_old_connections", connections.close_all)
    yield
    SyncToAsync.single_thread_executor.submit(connections.close_all).result()


@pytest.fixture
async def center() -> AsyncIterator[Center]:
    made = Center(ConnectionLimits())
    yield made
    await asyncio.to_thread(made.shutdown)


async def is_online(service: WebSocketNotificationService, user: User) -> bool:
    """Waits until the connection is noted, which takes a second at most."""
    async with asyncio.timeout(PATIENCE_S):
        while not await service.is_user_online(user.pk):  # noqa: ASYNC110 -- a thread writes it
            await asyncio.sleep(0.01)
    return True


class TestWebSocketNotifications:
    async def test_websocket_real_time_delivery(self, center: Center):
        user = await sync_to_async(User.objects.create)(email="websocket@test.com")
        token = await sync_to_async(issue_access)(user, now=clock.now())
        consumer = NotificationConsumer(center=center)
        client = WebsocketCommunicator(consumer, f"/ws/notifications/?token={token}")
        assert (await client.connect(PATIENCE_S))[0]
        assert (await client.receive_json_from(PATIENCE_S))["type"] == "unread"
        notification_data = {
            "id": str(uuid.uuid4()),
            "title": "Real-time Test",
            "body": "This is a real-time notification",
            "priority": 2,
        }

        with patch(LAYER, return_value=AsyncMock()) as configured:
            ws_service = WebSocketNotificationService()
            assert await is_online(ws_service, user)
            result = await ws_service.send_realtime_notification(user, notification_data)

        assert result is True
        configured.return_value.group_send.assert_called_once_with(
            f"user_{user.id}", {"type": "notification_message", "data": notification_data}
        )

        # And by the layer that the settings name, it arrives.
        assert await WebSocketNotificationService().send_realtime_notification(
            user, notification_data
        )
        found = await client.receive_json_from(PATIENCE_S)
        while found["type"] != "notification":
            found = await client.receive_json_from(PATIENCE_S)
        assert found == {"type": "notification", "data": notification_data}
        await client.disconnect()

    async def test_nothing_is_sent_to_who_is_offline(self):
        user = await sync_to_async(make_user)()
        with patch(LAYER, return_value=AsyncMock()) as configured:
            service = WebSocketNotificationService()
            for each in (user, user.pk, user.uuid, str(user.uuid), str(user.pk), 1 << 40):
                assert await service.send_realtime_notification(each, {"n": 1}) is False
            assert await service.is_user_online(str(uuid.uuid4())) is False
            for unreadable in ("nonsense", "\N{SUPERSCRIPT TWO}", "ext:", 0):
                assert await service.is_user_online(unreadable) is False
        configured.return_value.group_send.assert_not_called()

    async def test_a_room_is_sent_to_and_asked_who_is_online(self):
        room, people = await sync_to_async(_course)()
        with patch(LAYER, return_value=AsyncMock()) as configured:
            service = WebSocketNotificationService()
            await service.send_room_notification(f"course:{room}", {"n": 1}, [people[0]])
            await service.send_room_notification(f"room.course.{room}", {"n": 2})
            online = await service.get_online_users_in_room(f"course:{room}")
            with pytest.raises(InvalidRequest):
                await service.send_room_notification("course_5", {})
            with pytest.raises(NotFound):
                await service.get_online_users_in_room("course:999999")

        calls = [each.args for each in configured.return_value.group_send.call_args_list]
        sent = {"type": "notification_message", "data": {"n": 1}, "exclude_users": [people[0]]}
        assert calls == [
            (f"room.course.{room}", sent),
            (f"room.course.{room}", {"type": "notification_message", "data": {"n": 2}}),
        ]
        assert online == people[:1]


def _course() -> tuple[int, list[int]]:
    people = [make_user().pk for _ in range(2)]
    group = Group.objects.create(name="course", kind="course")
    for user_id in people:
        GroupMembership.objects.create(group=group, user_id=user_id)
    write_people(begin_lease("process"), {people[0]: False})
    return group.pk, people
