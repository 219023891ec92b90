"""`carillon web` while its database is unavailable, hangs or is locked: responses have bounds."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from carillon.servers import PostgresServer
from tests.functional.databases import admin
from tests.functional.installation import Installation, wait_until
from tests.functional.tcp_proxy import COMMIT, TcpProxy
from tests.functional.web import SEND, Web, is_up, running

pytestmark = pytest.mark.processes
CSS = "/static/carillon/carillon.css"
LINKS = """
from notifications.infra.links import preferences_url, unsubscribe_url
for url in (unsubscribe_url(1, "course", "a@b.example"), preferences_url(1)):
    print("/" + url.split("/", 3)[3])
"""


@pytest.fixture(scope="module")
def proxy(migrated_postgres: PostgresServer) -> Iterator[TcpProxy]:
    # Its own database: periodic loops that other tests left would be overdue, so it is never ready.
    admin(
        migrated_postgres.url.replace("/postgres?", "/template1?"),
        "CREATE DATABASE behind_the_proxy TEMPLATE postgres",
    )
    with TcpProxy(migrated_postgres, database="behind_the_proxy") as found:
        yield found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, proxy: TcpProxy) -> Iterator[Web]:
    """Starts a web process that reaches its PostgreSQL through a proxy."""
    place = Installation(
        tmp_path_factory.mktemp("web"), database_url=proxy.url, max_queued_requests="8"
    )
    place.prepare(demo=True)
    with running(place) as found:
        yield found


@pytest.fixture
def web(served: Web, proxy: TcpProxy) -> Iterator[Web]:
    """The same web process, which is ready before and after the test."""
    wait_until(lambda: is_up(served))
    yield served
    proxy.unfreeze()
    proxy.reconnect()


def test_live_static_and_health_respond_while_the_database_hangs(web: Web, proxy: TcpProxy) -> None:
    assert web.send().status == 201
    proxy.freeze()
    with ThreadPoolExecutor(16) as clients:
        sends = [clients.submit(web.send) for _ in range(14)]
        wait_until(lambda: any(each.done() for each in sends))  # those over the bound
        for _ in range(5):
            for path in ("/health/live", CSS):
                response = web.get(path)
                assert response.status == 200
                assert response.seconds < 0.2, (path, response.seconds)
        for path in ("/health/ready", "/health"):
            response = web.get(path)
            assert response.status == 503
            assert response.seconds < 2.2, (path, response.seconds)
            assert "the database does not answer" in response.json["reasons"][0]
        metrics = web.get("/metrics")
        assert metrics.seconds < 5.2
        assert b"notification_database_answers 0.0" in metrics.body
        proxy.unfreeze()
        responses = [each.result() for each in sends]
    assert {response.status for response in responses} <= {201, 503}
    refused = [response for response in responses if response.status == 503]
    assert {response.json["code"] for response in refused} <= {"overloaded", "database_unavailable"}
    assert all(response.headers["Retry-After"] for response in refused)
    wait_until(lambda: web.send().status == 201)


VALID = {
    "user_id": 1,
    "template_path": "user.payment.success",
    "channels": ["in_app"],
    "context": {"amount": "1"},
}


def test_an_unavailable_database_is_503_on_every_route_until_it_is_back(
    web: Web, proxy: TcpProxy
) -> None:
    assert web.get("/health/ready").status == 200
    unsubscribe, preferences = web.place.python(LINKS).split()
    proxy.disconnect()
    for method, path, body in (
        ("POST", SEND, VALID),
        ("GET", "/api/v1/templates", None),
        ("GET", "/api/admin/broadcasts", None),
        ("GET", "/outbox", None),
        ("GET", "/admin/", None),
        ("GET", unsubscribe, None),
        ("POST", unsubscribe, None),
        ("GET", preferences, None),
        ("GET", "/health/ready", None),
        ("GET", "/health", None),
    ):
        response = web.request_path(method, path, body)
        assert response.status == 503, (path, response.status, response.body[:200])
        if path.startswith("/health"):
            assert response.seconds < 2.2, (path, response.seconds)
        if not path.startswith("/health"):
            assert response.headers["Retry-After"] == "1", path
            page = not path.startswith("/api/")
            assert (b"<h1>" in response.body) is page
            assert b"does not respond" in response.body
            assert page or response.json["code"] == "database_unavailable"
    proxy.reconnect()
    assert web.send().status == 201
    assert web.get("/health/ready").status == 200


def test_a_request_whose_client_left_before_its_start_is_not_run(web: Web, proxy: TcpProxy) -> None:
    """Four requests are in flight when the database hangs; clients that left are dropped."""
    body = json.dumps(
        {
            "user_id": 1,
            "template_path": "user.payment.success",
            "channels": ["in_app"],
            "context": {"amount": "1"},
            "correlation_id": "left",
        }
    ).encode()
    head = (
        f"POST {SEND} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {web.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    assert web.send().status == 201
    before = web.place.statuses()
    proxy.freeze()
    clients = []
    for _ in range(11):
        client = socket.create_connection(("127.0.0.1", web.port))
        client.sendall(head + body)
        clients.append(client)
    assert web.get("/health/live").status == 200  # by now all of them were read
    for client in clients:
        client.close()
    assert web.get("/health/live").status == 200
    proxy.unfreeze()
    wait_until(lambda: web.send().status == 201)
    made = sum(web.place.statuses().values()) - sum(before.values())
    assert made <= 2 * (4 + 1), made  # each has a message and a batch


MESSAGE = {
    "template_path": "user.payment.success",
    "channels": ["in_app"],
    "context": {"amount": "1"},
}
TEXT = {"title": "t", "message": "t"}
LATER = {"type": "x", "recipients": [1], "scheduled_at": "2190-01-01T00:00:00Z", **TEXT}
BULK, SCHEDULE = "/api/v1/notifications/bulk", "/api/notifications/schedule/"
ADDRESS = {
    "to": {"email": "a@b.example"},
    "template_path": "user.security.code",
    "channels": ["email"],
    "context": {"code": "123456"},
}
DRAFT = {"target_group": "all", **TEXT}
POSTS = [
    ("single", SEND, {"user_id": 1, **MESSAGE}, "notification_id"),
    ("address", SEND, ADDRESS, "notification_id"),
    ("bulk", BULK, {"recipients": [{"user_id": 1}] * 21, **MESSAGE}, "job_id"),  # in no group
    ("bulk in a group", BULK, {"recipients": [{"user_id": 1}], **MESSAGE}, "job_id"),
    ("schedule", SCHEDULE, LATER, "notification_id"),
    ("series", SCHEDULE, {**LATER, "recurrence": "FREQ=DAILY"}, "schedule_id"),
    ("broadcast", "/api/admin/broadcasts/", DRAFT, "broadcast_id"),
]


@pytest.mark.parametrize(("_name", "path", "body", "named"), POSTS, ids=[p[0] for p in POSTS])
def test_a_request_whose_commit_lost_its_response_reports_the_outcome(
    web: Web, proxy: TcpProxy, _name: str, path: str, body: dict[str, Any], named: str
) -> None:
    good = web.request_path("POST", path, body)
    assert good.status in (200, 201, 202), good.body

    proxy.cut_at = COMMIT
    stands = web.request_path("POST", path, body)
    assert stands.status == good.status, stands.body

    proxy.drop_at = COMMIT
    lost = web.request_path("POST", path, body)
    assert (lost.status, lost.json["code"]) == (503, "database_unavailable")

    proxy.then_disconnect, proxy.cut_at = True, COMMIT
    doubt = web.request_path("POST", path, body)
    proxy.reconnect()
    assert (doubt.status, doubt.json["code"]) == (503, "commit_in_doubt"), doubt.body
    assert doubt.headers["Retry-After"] == "1"
    assert doubt.json[named] in doubt.json["status_url"]
    assert web.get(doubt.json["status_url"]).status == 200

    proxy.then_disconnect, proxy.drop_at = True, COMMIT
    doubt = web.request_path("POST", path, body)
    proxy.reconnect()
    assert (doubt.status, doubt.json["code"]) == (503, "commit_in_doubt"), doubt.body
    assert web.get(doubt.json["status_url"]).status == 404


@pytest.mark.parametrize("fate", ["cut_at", "drop_at"])
def test_an_uncertain_request_repeated_with_its_key_has_its_effect_once(
    web: Web, proxy: TcpProxy, fate: str
) -> None:
    before = web.place.statuses()
    key = f"key-{fate}"
    proxy.then_disconnect = True
    setattr(proxy, fate, COMMIT)
    doubt = web.send(key)
    proxy.reconnect()
    assert (doubt.status, doubt.json["code"]) == (503, "commit_in_doubt"), doubt.body
    assert doubt.json["idempotency_key"] == key
    assert key in doubt.json["detail"]

    again = web.send(key)
    assert again.status == 201
    assert ("Idempotency-Replayed" in again.headers) is (fate == "cut_at")
    assert sum(web.place.statuses().values()) - sum(before.values()) == 2  # a batch, a message


def test_a_long_lock_on_sqlite_is_503_with_a_time_to_repeat(
    tmp_path: Path,
) -> None:
    place = Installation(tmp_path)
    place.prepare(demo=True)
    script = (
        "from django.db import transaction\n"
        "with transaction.atomic():\n    print('held', flush=True)\n    input()\n"
    )
    with running(place) as web:
        with holding(place, script):
            response = web.send()
            assert response.status == 503
            assert response.json["code"] == "database_unavailable"
            assert response.headers["Retry-After"] == "1"
            assert web.get("/health/live").seconds < 0.2
            assert web.get("/health/ready").status == 200
        assert web.send().status == 201


@contextlib.contextmanager
def holding(place: Installation, script: str) -> Iterator[None]:
    """Runs a script until it reports that it is ready; it continues when the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"import django; django.setup()\n{script}"],
        env=place.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert process.stdout.readline() == b"held\n"
        yield
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(30)
