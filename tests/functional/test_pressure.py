"""Idle connections, slow clients and a large bulk: no single send beside them is refused."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.functional.installation import Installation, wait_until
from tests.functional.web import SEND, Web, running

pytestmark = pytest.mark.processes
IDLE = 5_000 if os.environ.get("CARILLON_PROOF") else 1_000
SLOW, SENDERS, SENT = 20, 8, 15
PEOPLE = 10_000
BULK = "/api/v1/notifications/bulk"
MAKE_PEOPLE = f"""
from directory.models import User
made = [User(username=f"n{{n}}", email=f"n{{n}}@example.org") for n in range({PEOPLE})]
User.objects.bulk_create(made, batch_size=1000)
print(User.objects.get(username="n0").pk)
"""


@pytest.fixture(autouse=True)
def _enough_files() -> Iterator[None]:
    """Raises this process's limit of open files, which its children inherit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE * 2 + 1_000
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def idle_connections(web: Web) -> Iterator[None]:
    """Connections that each made a request and stay open."""
    head = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(IDLE):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", web.port)))
            client.sendall(head)
            assert client.recv(65_536).startswith(b"HTTP/1.1 200")
        yield


@contextlib.contextmanager
def slow_clients(web: Web) -> Iterator[list[int]]:
    """Clients that send a byte at a time, again and again. Yields how much they have sent."""
    body = json.dumps({"user_id": 1, "template_path": "user.payment.success"}).encode()
    text = (
        f"POST {SEND} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {web.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    ends, sent = threading.Event(), [0] * SLOW

    def run() -> None:
        clients: list[socket.socket | None] = [None] * SLOW
        while not ends.wait(0.02):
            for number in range(SLOW):
                client = clients[number]
                if client is None:
                    client = socket.create_connection(("127.0.0.1", web.port))
                    clients[number], sent[number] = client, 0
                try:
                    client.sendall(text[sent[number] % len(text) :][:1])
                    sent[number] += 1
                except OSError:  # it was too slow
                    client.close()
                    clients[number] = None
        for client in clients:
            if client is not None:
                client.close()

    with ThreadPoolExecutor(1) as threads:
        done = threads.submit(run)
        try:
            yield sent
        finally:
            ends.set()
            done.result(30)


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_no_single_send_is_refused_beside_idle_and_slow_clients_and_a_bulk(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url") if database == "postgres" else ""
    settings = {"keep_alive_seconds": "600", **({"database_url": url} if url else {})}
    place = Installation(tmp_path, **settings)
    place.prepare(demo=True)
    first = int(place.python(MAKE_PEOPLE))
    bulk = {
        "template_path": "user.payment.success",
        "channel": "in_app",
        "context": {"amount": "1"},
        "recipients": [{"user_id": first + number} for number in range(PEOPLE)],
    }
    with running(place) as web, idle_connections(web), slow_clients(web) as sent:
        wait_until(lambda: all(sent))
        with ThreadPoolExecutor(SENDERS + 1) as threads:
            large = threads.submit(web.request_path, "POST", BULK, bulk, 120)
            statuses = [
                status
                for each in [threads.submit(send, web, large.done) for _ in range(SENDERS)]
                for status in each.result()
            ]
            response = large.result()
    assert (response.status, response.json["accepted"]) == (202, PEOPLE)
    assert len(statuses) >= SENDERS * SENT
    assert set(statuses) == {201}


def send(web: Web, is_over: object) -> list[int]:
    """Sends until the bulk is over, at least some times; returns the statuses."""
    assert callable(is_over)
    found: list[int] = []
    while len(found) < SENT or not is_over():
        found.append(web.send(timeout=60).status)
    return found
