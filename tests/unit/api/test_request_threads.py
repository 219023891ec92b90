"""Requests and their threads: a hanging request delays no other, and every wait has a bound."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from carillon.serving.bridge import PICTURE_PATH, PICTURE_THREADS, Bridge, BridgeLimits
from carillon.serving.pools import NoThreadFree
from carillon.serving.refusals import refuse
from tests.unit.api.test_bridge import scope

THREADS = 2
SLOW_PICTURE = f"{PICTURE_PATH}//"


class Client:
    """One request over ASGI. `leave` disconnects."""

    def __init__(self, bridge: Bridge, path: str, **changes: Any) -> None:
        self.sent: list[Any] = []
        self._read = False
        self._left = asyncio.Event()
        self.task = asyncio.create_task(
            bridge(scope(path=path, **changes), self._receive, self._send)
        )

    async def _receive(self) -> dict[str, Any]:
        if not self._read:
            self._read = True
            return {"type": "http.request", "body": b""}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)

    def leave(self) -> None:
        self._left.set()

    async def status(self) -> int | None:
        """The response's status; None for one that was dropped."""
        await asyncio.wait_for(self.task, 10)
        return self.sent[0]["status"] if self.sent else None

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])


class Hanging:
    """A WSGI application whose requests hang until `resume` is set, except those of `/still/`."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.resume = threading.Event()
        self.all_threads_hang = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        self.begun.append(path)
        if path.startswith(("/hang", SLOW_PICTURE)) or path.rstrip("/") in ("/health", "/metrics"):
            if len(self.begun) >= THREADS:
                self.all_threads_hang.set()
            self.resume.wait(10)
        start_response("200 OK", [])
        return [b"done"]


@pytest.fixture
async def hanging() -> AsyncIterator[Hanging]:
    application = Hanging()
    yield application
    application.resume.set()


def bridge_of(application: Hanging, **limits: Any) -> Bridge:
    chosen: dict[str, Any] = {"threads": THREADS, "waiting": 2, "patience": 5.0, **limits}
    return Bridge(application, max_body_bytes=1000, limits=BridgeLimits(**chosen), refuse=refuse)


async def fill(bridge: Bridge, hanging: Hanging) -> list[Client]:
    """Makes every request thread hang."""
    clients = [Client(bridge, f"/hang/{number}") for number in range(THREADS)]
    await asyncio.to_thread(hanging.all_threads_hang.wait, 5)
    return clients


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "path",
    [
        "/health/live",
        "/health/live/",
        "/health/ready",
        "/static/carillon/carillon.css",
        "/preview-images",
    ],
)
async def test_requests_without_a_database_are_served_while_every_thread_hangs(
    hanging: Hanging, path: str
) -> None:
    bridge = bridge_of(hanging)
    await fill(bridge, hanging)

    assert await Client(bridge, path).status() == 200


async def test_pictures_of_slow_hosts_hold_no_thread_of_other_requests(hanging: Hanging) -> None:
    bridge = bridge_of(hanging)
    clients = [Client(bridge, SLOW_PICTURE) for _ in range(PICTURE_THREADS)]
    assert await asyncio.to_thread(hanging.all_threads_hang.wait, 5)

    assert clients
    assert await Client(bridge, "/still/").status() == 200


async def test_more_than_may_wait_are_refused_at_once(hanging: Hanging) -> None:
    bridge = bridge_of(hanging)
    first = await fill(bridge, hanging)
    waiting = [Client(bridge, "/hang/later") for _ in range(2)]
    await settle()

    refused = Client(bridge, "/api/v1/notifications/send", method="POST")
    assert await refused.status() == 503
    assert refused.headers[b"retry-after"] == b"1"

    hanging.resume.set()
    assert [await client.status() for client in [*first, *waiting]] == [200] * 4
    assert "/api/v1/notifications/send" not in hanging.begun


async def test_no_request_waits_for_a_thread_longer_than_the_bound(hanging: Hanging) -> None:
    bridge = bridge_of(hanging, patience=0.05)
    await fill(bridge, hanging)

    assert await Client(bridge, "/late").status() == 503
    assert "/late" not in hanging.begun


async def test_a_request_whose_client_disconnected_before_never_begins(hanging: Hanging) -> None:
    bridge = bridge_of(hanging)
    first = await fill(bridge, hanging)
    gone, there = Client(bridge, "/gone"), Client(bridge, "/there")
    await settle()
    gone.leave()

    assert await gone.status() is None
    hanging.resume.set()
    assert await there.status() == 200
    assert [await client.status() for client in first] == [200, 200]
    assert "/gone" not in hanging.begun


async def test_a_client_that_disconnects_at_its_turn_is_dropped_and_the_thread_continues(
    hanging: Hanging,
) -> None:
    bridge = bridge_of(hanging, threads=1)
    first = Client(bridge, "/hang/1")
    await settle()
    gone = Client(bridge, "/gone")
    await settle()
    pool = bridge._requests
    turn = pool._queue[0]

    pool._next()  # its turn comes, and it disconnects in the same turn of the event loop
    gone.leave()
    assert turn.done()

    assert await gone.status() is None
    hanging.resume.set()
    assert await first.status() == 200
    assert await Client(bridge, "/next").status() == 200
    assert "/gone" not in hanging.begun


async def test_waiting_requests_are_served_in_order(hanging: Hanging) -> None:
    bridge = bridge_of(hanging, threads=1, waiting=10)
    first = Client(bridge, "/hang/0")
    await settle()
    clients = []
    for number in range(5):
        clients.append(Client(bridge, f"/{number}"))
        await settle()
    hanging.resume.set()
    assert [await client.status() for client in [first, *clients]] == [200] * 6

    assert hanging.begun == ["/hang/0", "/0", "/1", "/2", "/3", "/4"]


@pytest.mark.parametrize("path", ["/health", "/health/", "/metrics"])
async def test_a_hanging_check_gets_a_response_in_time_and_recovers(
    hanging: Hanging, path: str
) -> None:
    bridge = bridge_of(hanging, health_limit=0.05, metrics_limit=0.05)

    late = [Client(bridge, path) for _ in range(4)]
    assert [await client.status() for client in late] == [503] * 4
    assert await Client(bridge, "/").status() == 200

    hanging.resume.set()
    for _ in range(200):
        again = Client(bridge, path)
        if await again.status() == 200:
            break
    assert again.sent[0]["status"] == 200


async def test_a_health_check_without_a_result_has_the_usual_form(hanging: Hanging) -> None:
    bridge = bridge_of(hanging, health_limit=0.05)
    client = Client(bridge, "/health")

    assert await client.status() == 503
    response = json.loads(client.sent[1]["body"])
    assert response["status"] == "degraded"
    assert response["reasons"] == ["database: the checks did not end: the database does not answer"]


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("/api/v1/notifications/send", b"application/problem+json", '"code":"overloaded"'),
        ("/api/admin/broadcasts/", b"application/json", '"code":"overloaded"'),
        ("/preferences/secret-link", b"text/html; charset=utf-8", "503 Service Unavailable"),
    ],
)
async def test_a_refusal_has_the_form_of_its_path(
    hanging: Hanging, path: str, kind: bytes, words: str
) -> None:
    bridge = bridge_of(hanging, waiting=0)
    await fill(bridge, hanging)
    client = Client(bridge, path, headers=[(b"x-request-id", b"mine-1")])

    assert await client.status() == 503
    assert client.headers[b"content-type"] == kind
    assert client.headers[b"retry-after"] == b"1"
    assert client.headers[b"x-request-id"] == b"mine-1"
    assert b"content-security-policy" in client.headers
    assert words in client.sent[1]["body"].decode()


async def test_a_closing_process_sends_connection_close(
    hanging: Hanging,
) -> None:
    bridge = bridge_of(hanging)
    bridge.close()
    client = Client(bridge, "/")

    assert await client.status() == 200
    assert client.headers[b"connection"] == b"close"


async def test_the_time_in_a_group_counts_as_waiting(hanging: Hanging) -> None:
    """A request that its group gave up waits for a thread only as long as it may wait in all."""
    bridge = bridge_of(hanging, threads=THREADS, patience=60.0)
    held = [Client(bridge, "/hang") for _ in range(THREADS)]
    await asyncio.to_thread(hanging.all_threads_hang.wait, 10)
    loop = asyncio.get_running_loop()
    pool, stays = bridge._requests, asyncio.Event()

    async def receive() -> dict[str, Any]:
        await stays.wait()
        return {"type": "http.disconnect"}

    with pytest.raises(NoThreadFree):
        await pool.run(lambda: None, receive, began=loop.time() - 60.0)
    hanging.resume.set()
    assert [await client.status() for client in held] == [200] * THREADS
