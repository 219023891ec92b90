"""The channel layer, as the specification of channel layers asks for it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.exceptions import ChannelFull
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator

from directory.models import User
from notifications.features.rooms.payloads import RoomDataTooLarge
from notifications.infra.process import inbox_wakeups
from notifications.realtime import layer as layers
from notifications.realtime.layer import HubChannelLayer
from tests.integration.realtime.conftest import Live
from tests.integration.realtime.rooms.conftest import CourseOf, join, opened

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE_S = 10.0


@pytest.fixture
async def layer() -> AsyncIterator[HubChannelLayer]:
    made = HubChannelLayer(capacity=3)
    yield made
    made.close()


async def received(layer: HubChannelLayer, channel: str) -> Any:
    return await asyncio.wait_for(layer.receive(channel), PATIENCE_S)


async def is_quiet(layer: HubChannelLayer, channel: str) -> bool:
    await asyncio.to_thread(inbox_wakeups.flush)
    try:
        await asyncio.wait_for(layer.receive(channel), 0.05)
    except TimeoutError:
        return True
    return False


async def test_a_group_reaches_its_channels_alone(layer: HubChannelLayer):
    first, second, third = [await layer.new_channel() for _ in range(3)]
    for channel in (first, second, third):
        await layer.group_add("chat", channel)
    await layer.group_discard("chat", third)
    message = {"type": "chat.line", "text": "héllo", "data": b"\x00\xff", "n": [1, 2.5, None, True]}

    await layer.group_send("chat", message)
    await layer.group_send("other", message)

    assert await received(layer, first) == message
    assert await received(layer, second) == message
    assert await is_quiet(layer, third)
    assert await is_quiet(layer, first)


async def test_a_channel_is_sent_to_in_order(layer: HubChannelLayer):
    channel = await layer.new_channel()
    message = {"type": "test", "list": [1]}
    for number in range(3):
        await layer.send(channel, {**message, "n": number})
    with pytest.raises(ChannelFull):
        await layer.send(channel, message)

    message["list"].append(2)

    found = [await received(layer, channel) for _ in range(3)]
    assert [(each["n"], each["list"]) for each in found] == [(n, [1]) for n in range(3)]
    await layer.send(channel, message)


async def test_who_waits_is_woken_and_a_cancelled_wait_loses_nothing(layer: HubChannelLayer):
    channel = await layer.new_channel()
    waits = asyncio.create_task(received(layer, channel))
    await asyncio.sleep(0)
    await asyncio.to_thread(async_to_sync(layer.send), channel, {"type": "from another loop"})
    assert (await waits)["type"] == "from another loop"

    waits = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0)
    waits.cancel()
    await layer.send(channel, {"type": "first"})
    assert (await received(layer, channel))["type"] == "first"
    assert layer._channels == {}


async def test_old_messages_and_members_are_forgotten(
    layer: HubChannelLayer, monkeypatch: pytest.MonkeyPatch
):
    now = 1000.0
    monkeypatch.setattr(layers.clock, "monotonic", lambda: now)
    channel = await layer.new_channel()
    await layer.group_add("chat", channel)
    await layer.send(channel, {"type": "old"})
    now += 61
    assert await is_quiet(layer, channel)

    await layer.send(channel, {"type": "old"})
    now += 86_500
    layer._on_payload(inbox_wakeups.HERE + '{"to": "chat", "message": {"type": "late"}}')
    assert (layer._groups, layer._channels) == ({}, {})


async def test_names_are_checked_and_messages_bounded(layer: HubChannelLayer):
    for wrong in ("a b", "x" * 100, "ü", "course:5"):
        with pytest.raises(TypeError):
            await layer.group_send(wrong, {"type": "test"})
    with pytest.raises(TypeError):
        await layer.send("a!b!c", {"type": "test"})
    with pytest.raises(RoomDataTooLarge):
        await layer.group_send("chat", {"type": "test", "data": "x" * 6_200})
    with pytest.raises(RoomDataTooLarge):
        await layer.group_send("chat", {"type": "test", "text": "x" * 9_000})


async def test_a_channel_of_another_process_is_reached_there(layer: HubChannelLayer):
    other = HubChannelLayer()
    channel = await other.new_channel()
    try:
        await other.group_add("chat", channel)  # it listens from now on
        await layer.send(channel, {"type": "direct"})
        assert await received(other, channel) == {"type": "direct"}
        assert layer._channels == {}
    finally:
        other.close()


async def test_flush_forgets_all(layer: HubChannelLayer):
    channel = await layer.new_channel()
    await layer.group_add("chat", channel)
    await layer.send(channel, {"type": "test"})
    await layer.flush()
    assert (layer._groups, layer._channels) == ({}, {})


class Chat(AsyncJsonWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """A consumer of another app."""

    groups = ["user_5", "room.course.5"]

    async def notification_message(self, event: dict[str, Any]) -> None:
        await self.send_json(event["data"])


async def test_a_consumer_of_channels_gets_what_is_sent_to_people_and_rooms():
    layer = get_channel_layer()
    assert isinstance(layer, HubChannelLayer)
    client = WebsocketCommunicator(Chat.as_asgi(), "/chat/")
    assert (await client.connect(PATIENCE_S))[0]

    await layer.group_send("user_5", {"type": "notification_message", "data": {"n": 1}})
    await layer.group_send("room.course.5", {"type": "notification_message", "data": {"n": 2}})

    assert await client.receive_json_from(PATIENCE_S) == {"n": 1}
    assert await client.receive_json_from(PATIENCE_S) == {"n": 2}
    await client.disconnect()
    assert layer._groups == {}
    layer.close()


def test_sockets_of_the_hub_get_what_is_sent_to_groups(
    live: Live, person: User, course_of: CourseOf
):
    room = course_of(person)
    client = opened(live, person)
    join(client, room)
    send: Callable[..., None] = async_to_sync(HubChannelLayer().group_send)

    send(f"user_{person.pk}", {"type": "notification_message", "data": {"n": 1}})
    send(
        room.replace("course:", "room.course."), {"type": "notification_message", "data": {"n": 2}}
    )

    assert client.next_of("notification") == {"type": "notification", "data": {"n": 1}}
    assert client.next_of("notification")["data"] == {"n": 2}


@pytest.mark.once
def test_a_web_process_does_not_load_channels_before_it_is_used() -> None:
    script = (
        "import django, sys; django.setup()\n"
        "import carillon.serving.realtime, notifications.services\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'channels'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
