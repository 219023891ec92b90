"""Rooms over several real web processes: what is sent at one arrives at all, and a killed process
takes its people with it when its lease ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from carillon.servers import RedisServer
from tests.functional.installation import Installation, free_port, wait_until
from tests.functional.web import Web, is_up
from tests.pace import crowd, pace

pytestmark = pytest.mark.processes
PEOPLE = """
import json
from directory.models import Group, GroupMembership, User
from notifications.features.access.authentication import issue_access
from notifications.infra import clock
from notifications.models import ApiKey
group = Group.objects.create(name="Algebra", kind="course")
found = {"room": f"course:{group.pk}", "people": []}
for person in User.objects.filter(role="student").order_by("pk")[:2]:
    GroupMembership.objects.create(group=group, user=person)
    found["people"].append([person.pk, issue_access(person, now=clock.now())])
found["key"] = ApiKey.make(name="t", scopes=["notifications:send", "users:read"])[1]
print(json.dumps(found))
"""
SHELL = """
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
async_to_sync(get_channel_layer().group_send)(
    "user_%d", {"type": "notification_message", "data": {"from": "a script"}}
)
"""
EXPIRE = """
from datetime import timedelta
from notifications.infra import clock
from notifications.models import Presence, WebProcess
dead = Presence.objects.get(user_id=%d).process_id
WebProcess.objects.filter(pk=dead).update(lease_until=clock.now() - timedelta(seconds=1))
"""


def patience() -> float:
    return 20.0 * max(1.0, pace(), crowd())


@asynccontextmanager
async def joined(port: int, jwt: str, room: str) -> AsyncIterator[ClientConnection]:
    url = f"ws://127.0.0.1:{port}/ws/notifications/?token={jwt}"
    async with connect(url, compression=None, open_timeout=patience()) as client:
        await client.send(json.dumps({"type": "join_room", "data": {"room": room}}))
        await next_of(client, "presence")
        yield client


async def next_of(client: ClientConnection, *types: str) -> dict[str, Any]:
    while True:
        found: dict[str, Any] = json.loads(await asyncio.wait_for(client.recv(), patience()))
        if found["type"] in types:
            return found


def test_rooms_over_two_processes(tmp_path: Path):
    asyncio.run(_follow(Installation(tmp_path)))


@pytest.mark.parametrize("redis_too", [False, True], ids=["listen", "redis"])
def test_the_same_on_postgres(
    tmp_path: Path, postgres_url: str, redis: RedisServer, redis_too: bool
):
    settings = {"redis_url": redis.url} if redis_too else {}
    asyncio.run(_follow(Installation(tmp_path, database_url=postgres_url, **settings)))


async def _follow(place: Installation) -> None:
    place.prepare(demo=True)
    made = json.loads(place.python(PEOPLE).strip().splitlines()[-1])
    room, ((first_id, first_jwt), (second_id, second_jwt)) = made["room"], made["people"]
    ports = [free_port(), free_port()]
    with (
        place.running("web", "--port", str(ports[0])) as one,
        place.running("web", "--port", str(ports[1])) as two,
    ):
        webs = [Web(place, port, each.pid) for port, each in zip(ports, (one, two), strict=True)]
        for web in webs:
            wait_until(lambda web=web: is_up(web))
            web.token = made["key"]
        async with joined(ports[0], first_jwt, room) as first:
            async with joined(ports[1], second_jwt, room) as second:
                await _until_online(first, second_id)
                await _notify(webs[0], room, {"data": {"n": 1}, "exclude_users": [first_id]})
                at_second = await next_of(second, "notification")
                await _notify(webs[1], room, {"data": {"n": 2}})
                at_first = await next_of(first, "notification")
                await asyncio.to_thread(place.python, SHELL % first_id)
                from_script = await next_of(first, "notification")
                online = await _online(webs[0], room)
                os.kill(two.pid, signal.SIGKILL)
            still = await _online(webs[0], room)
            await asyncio.to_thread(place.python, EXPIRE % second_id)
            left = await next_of(first, "presence")
            while not left["data"]["left"]:
                left = await next_of(first, "presence")
            after = await _online(webs[0], room)
        os.kill(one.pid, signal.SIGTERM)
        await asyncio.to_thread(one.wait, patience())
    assert at_second == {"type": "notification", "data": {"n": 1}, "room": room}
    assert at_first["data"] == {"n": 2}
    assert from_script["data"] == {"from": "a script"}
    assert (online, still, after) == ([first_id, second_id], [first_id, second_id], [first_id])
    assert left["data"]["left"] == [second_id]
    tables = ("notifications_presence", "notifications_webprocess")
    rows = [place.query(f"SELECT count(*) FROM {table}")[0][0] for table in tables]
    assert rows == [1, 1], "the killed process's rows are left, those of the other are gone"


async def _until_online(client: ClientConnection, user_id: int) -> None:
    while True:
        found = await next_of(client, "presence")
        if user_id in [each["user_id"] for each in found["data"]["people"]]:
            return


async def _notify(web: Web, room: str, body: dict[str, Any]) -> None:
    path = f"/api/v1/rooms/{room}/notify"
    made = await asyncio.to_thread(web.request_path, "POST", path, body)
    assert made.status == 202, made.body


async def _online(web: Web, room: str) -> list[int]:
    response = await asyncio.to_thread(web.get, f"/api/v1/rooms/{room}/presence")
    assert response.status == 200, response.body
    return [each["user_id"] for each in response.json["results"]]
