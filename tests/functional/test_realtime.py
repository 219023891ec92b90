"""Clients of real web processes: sends arrive live, and nothing is missed when a server dies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close

from carillon.servers import RedisServer
from tests.functional.installation import Installation, free_port, wait_until
from tests.functional.web import SCOPES, Web, is_up
from tests.pace import crowd, pace

pytestmark = pytest.mark.processes
PATIENCE_S = 20.0
SILENT = 100


@dataclass
class Place:
    """An installation with a person, and a key that sends."""

    installation: Installation
    port: int
    key: str
    jwt: str

    def url(self, after: str = "") -> str:
        more = f"&after={after}" if after else ""
        return f"ws://127.0.0.1:{self.port}/ws/notifications/?token={self.jwt}{more}"

    @contextlib.contextmanager
    def served(self, command: str) -> Iterator[Web]:
        with self.installation.running(command, "--port", str(self.port)) as process:
            web = Web(self.installation, self.port, process.pid)
            wait_until(lambda: is_up(web))
            web.token = self.key
            yield web


def place_of(installation: Installation) -> Place:
    installation.prepare(demo=True)
    words = ("token", "admin", "--kind")
    key = installation.carillon(*words, "api-key", "--scopes", SCOPES).stdout.strip()
    jwt = installation.carillon(*words, "jwt").stdout.strip()
    return Place(installation, free_port(), key, jwt)


def patience() -> float:
    return PATIENCE_S * max(1.0, pace(), crowd())


@contextlib.asynccontextmanager
async def following(place: Place, after: str = "") -> AsyncIterator[ClientConnection]:
    async with connect(place.url(after), compression=None, open_timeout=patience()) as client:
        yield client


async def group(client: ClientConnection) -> list[dict[str, Any]]:
    """Returns the frames up to the next unread number, and that."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["type"] != "unread":
        found.append(json.loads(await asyncio.wait_for(client.recv(), patience())))
    return found


def where(frames: list[dict[str, Any]]) -> str:
    data = frames[-1]["data"]
    return f"{data['epoch']}.{data['seq']}"


async def send(web: Web) -> str:
    response = await asyncio.to_thread(web.send)
    assert response.status == 201, response.body
    return str(response.json["id"])


def test_a_send_arrives_live_and_a_killed_server_costs_nothing(tmp_path: Path):
    settings = {"realtime_person_connections": str(SILENT + 5), "realtime_queue": "64"}
    asyncio.run(_follow_over_a_kill(place_of(Installation(tmp_path, **settings)), silent=SILENT))


@pytest.mark.parametrize("redis_too", [False, True], ids=["listen", "redis"])
def test_the_same_on_postgres(
    tmp_path: Path, postgres_url: str, redis: RedisServer, redis_too: bool
):
    settings = {"redis_url": redis.url} if redis_too else {}
    installation = Installation(tmp_path, database_url=postgres_url, **settings)
    asyncio.run(_follow_over_a_kill(place_of(installation)))


async def _follow_over_a_kill(place: Place, silent: int = 0) -> None:
    """Sends beside sockets that never read, kills the server, resumes, and ends it with grace."""
    with place.installation.running("worker"), contextlib.ExitStack() as stack:
        with place.served("web") as web:
            for _ in range(silent):
                stack.enter_context(await asyncio.to_thread(_silent_socket, place))
            async with following(place) as client:
                await group(client)
                first = await send(web)
                live = await group(client)
                missed = await send(web)
                os.kill(web.pid, signal.SIGKILL)
        with place.served("web") as web:
            async with following(place, where(live)) as client:
                again = await group(client)
                while not any(frame["type"] == "notification" for frame in again):
                    again = await group(client)
                os.kill(web.pid, signal.SIGTERM)
                ended = await asyncio.wait_for(_closed(client), patience())
    assert live[0]["data"]["id"] == first
    assert [f["data"]["id"] for f in again if f["type"] == "notification"] == [missed]
    assert ended is not None
    assert ended.code == 1012
    assert "retry after" in ended.reason


async def _closed(client: ClientConnection) -> Close | None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await client.recv()
    return client.protocol.close_rcvd


def _silent_socket(place: Place) -> socket.socket:
    """A socket that upgrades, and reads nothing ever."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    made.connect(("127.0.0.1", place.port))
    path = place.url().partition(f":{place.port}")[2]
    head = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    made.sendall(head.encode())
    return made
