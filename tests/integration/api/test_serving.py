"""The whole stack on one port: a real ASGI server, the bridge, Django, and raw sockets."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import uvicorn
from django.core.wsgi import get_wsgi_application
from django.db import connections
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from carillon.serving.bridge import Bridge
from notifications.models import ApiKey, Notification
from tests.integration.api.conftest import send_body
from tests.integration.factories import make_template, make_user

LIMIT = 100_000
pytestmark = pytest.mark.django_db(transaction=True)


class ClosingThreads(Bridge):
    """The bridge; its threads' connections are closed at the end, so that the database can go."""

    def _call(self, environ: dict[str, Any]) -> Any:
        try:
            return super()._call(environ)
        finally:
            connections.close_all()


class Server(uvicorn.Server):
    """A server that says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


@pytest.fixture
def port(override_environment: Any) -> Iterator[int]:
    """A server on loopback, in a thread of this process."""
    override_environment(max_body_bytes=LIMIT)
    bridge = ClosingThreads(get_wsgi_application(), max_body_bytes=LIMIT)
    config = uvicorn.Config(bridge, lifespan="on", log_level="error", ws="websockets-sansio")
    server = Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    assert server.is_up.wait(10)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(10)
    listener.close()


def exchange(port: int, text: bytes) -> tuple[int, dict[str, str], bytes]:
    """Sends bytes, reads the answer to its end: status, headers, body."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(text)
        received = b""
        while chunk := client.recv(65536):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, body


def request(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> Any:
    """A plain request; header names with `_` for `-`."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {len(body)}")
    return exchange(port, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)


def test_a_notification_is_sent_through_the_whole_stack(port: int) -> None:
    make_template("test.hello")
    user = make_user()
    _, key = ApiKey.make(name="a", scopes=["notifications:send"])

    status, headers, body = request(
        port,
        "POST",
        "/api/v1/notifications/send/",
        json.dumps(send_body(user)).encode(),
        Authorization=f"Bearer {key}",
        Content_Type="application/json",
        X_Request_ID="wire-1",
    )

    assert status == 201, body
    assert headers["x-request-id"] == "wire-1"
    assert str(Notification.objects.get().uuid) == json.loads(body)["id"]


def test_many_requests_at_once_are_all_answered(port: int) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: request(port, "GET", "/health/ready"), range(64)))

    assert [status for status, _, _ in answers] == [200] * 64


def test_a_chunked_body_is_read_whole(port: int) -> None:
    head = (
        b"POST /api/v1/auth/token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )

    status, _, body = exchange(port, head + b'5\r\n{"use\r\n8\r\nrname":1\r\n1\r\n}\r\n0\r\n\r\n')

    assert status == 400
    assert {error["path"] for error in json.loads(body)["errors"]} == {"username", "password"}


def test_a_chunked_body_without_end_is_refused(port: int) -> None:
    head = (
        b"POST /api/v1/auth/token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"

    status, _, body = exchange(port, head + chunk * 4)

    assert (status, json.loads(body)["code"]) == (413, "body_too_large")


def test_a_body_that_is_announced_too_large_is_refused(port: int) -> None:
    status, _, body = request(port, "POST", "/api/v1/auth/token", b"x" * (LIMIT + 1))

    assert (status, json.loads(body)["code"]) == (413, "body_too_large")


def test_a_path_in_another_script_arrives_whole(port: int) -> None:
    status, _, body = request(port, "GET", "/api/v1/%D0%BF%D1%80%D0%B8%D0%B2%D0%B5%D1%82?a=%FF")

    assert status == 404
    assert json.loads(body)["instance"] == "/api/v1/\u043f\u0440\u0438\u0432\u0435\u0442"


def test_a_head_request_has_no_body(port: int) -> None:
    status, headers, body = request(port, "HEAD", "/health/live")

    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 0


def test_static_files_are_served(port: int) -> None:
    status, headers, body = request(port, "GET", "/static/carillon/carillon.css")

    assert status == 200
    assert headers["content-type"].startswith("text/css")
    assert b"color-scheme" in body


async def test_a_websocket_is_closed_with_4404(port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/ws/notifications/") as client:
        with pytest.raises(ConnectionClosed) as caught:
            await client.recv()

    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 4404


def test_a_client_that_hangs_up_disturbs_no_one(port: int) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(
                b"POST /api/v1/auth/token HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Length: 1000\r\n\r\nhalf"
            )

    assert request(port, "GET", "/health/live")[0] == 200
