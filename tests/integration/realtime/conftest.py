"""A server with the hub, in a thread of the test's process, and clients of its transports."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import uvicorn
from django.db import connections
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from carillon.serving.bridge import Bridge
from carillon.serving.realtime import Realtime
from carillon.serving.server.sockets import SocketProtocol
from carillon.wsgi import application as wsgi
from directory.models import User
from notifications.features.access.authentication import issue_access
from notifications.infra import clock
from notifications.realtime import rounds, threads
from notifications.testing.loopback import close_server, settle
from tests.integration.factories import make_messages, make_user
from tests.integration.inbox.conftest import deliver

PATIENCE_S = 60.0


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            await close_server(server)
        await super().shutdown(sockets)
        await settle()


class Client:
    """A websocket that reads frames in order."""

    def __init__(self, socket_: ClientConnection) -> None:
        self.socket = socket_

    def frame(self) -> dict[str, Any]:
        """Returns the next frame."""
        found: dict[str, Any] = json.loads(self.socket.recv(PATIENCE_S))
        return found

    def group(self) -> list[dict[str, Any]]:
        """Returns the frames up to the next unread number, and that."""
        found = [self.frame()]
        while found[-1]["type"] != "unread":
            found.append(self.frame())
        return found

    def next_of(self, *types: str) -> dict[str, Any]:
        """Returns the next frame of one of these types."""
        found = self.frame()
        while found["type"] not in types:
            found = self.frame()
        return found

    def send(self, type_: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": type_, **fields}))

    def send_refused(self, *messages: str | list[str]) -> None:
        """Sends what the server refuses: it may close before it has read everything."""
        with contextlib.suppress(ConnectionClosed):
            for message in messages:
                self.socket.send(message)

    def close_code(self) -> int:
        """Reads to the end; returns the close code."""
        try:
            while True:
                self.socket.recv(PATIENCE_S)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006

    def stays_quiet(self, seconds: float = 0.2) -> bool:
        with contextlib.suppress(TimeoutError):
            self.socket.recv(seconds)
            return False
        return True


@dataclass
class Live:
    """A running server."""

    port: int
    realtime: Realtime
    opened: contextlib.ExitStack
    config: uvicorn.Config
    #: Rounds of the hub that have ended.
    rounds: int = 0

    def client(self, user: User, query: str = "", token: str = "", **more: Any) -> Client:
        """Opens a socket of a person."""
        token = token or jwt(user)
        url = f"ws://127.0.0.1:{self.port}/ws/notifications/?token={token}{query}"
        more.setdefault("open_timeout", PATIENCE_S)
        opening = connect(url, compression=None, close_timeout=1, **more)
        return Client(self.opened.enter_context(opening))

    def get(self, path: str, token: str = "", **headers: str) -> http.client.HTTPResponse:
        """Sends a GET; the caller reads the response."""
        request = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        given = {"Authorization": f"Bearer {token}"} if token else {}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request.request("GET", path, headers={**given, **named})
        response = request.getresponse()
        self.opened.callback(request.close)
        self.opened.callback(response.close)
        return response

    def allow_messages(self, per_s: int) -> None:
        """Lowers the bound of a socket: a busy machine takes a flood slower than the usual one."""
        center = self.realtime.center
        center.limits = replace(center.limits, messages_per_s=per_s)

    def wait_until(self, true: Callable[[], object]) -> None:
        """Waits for something that the server does."""
        until = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < until, "not in time"
            time.sleep(0.01)

    def wait_for_a_round(self) -> None:
        """Waits for the end of a round that begins after this call."""
        wanted = self.rounds + 2  # the first one may have begun before
        self.wait_until(lambda: self.rounds >= wanted)

    @property
    def people(self) -> int:
        return len(self.realtime.center.hub.people)


@pytest.fixture
def live(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    """A server with the settings of the test."""
    monkeypatch.setattr(threads, "close_old_connections", connections.close_all)
    realtime = Realtime()
    bridge = Bridge(
        wsgi, max_body_bytes=1000, websocket=realtime.websocket, streams=realtime.streams
    )
    config = uvicorn.Config(
        bridge,
        lifespan="off",
        log_level="error",
        ws=SocketProtocol,
        ws_max_size=65_536,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=2,
    )
    server = _Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)  # of all connections
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    assert server.is_up.wait(PATIENCE_S)
    with contextlib.ExitStack() as opened:
        made = Live(listener.getsockname()[1], realtime, opened, config)
        _count_rounds(made, monkeypatch)
        yield made
    server.should_exit = True
    thread.join(10)
    realtime.center.shutdown()
    listener.close()


def _count_rounds(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    real = rounds.Rounds._round

    async def count(self: rounds.Rounds) -> None:
        await real(self)
        live.rounds += 1

    monkeypatch.setattr(rounds.Rounds, "_round", count)


def jwt(user: User) -> str:
    """Returns a token of a person."""
    return issue_access(user, now=clock.now())


def send(user: User, count: int = 1) -> None:
    """Makes notifications that arrive in an inbox, one after another."""
    for _ in range(count):
        make_messages(1, channel="in_app", user=user)
        deliver()


@pytest.fixture
def person(live: Live) -> User:
    return make_user()
