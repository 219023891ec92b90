"""The bridge: HTTP goes to WSGI, websockets are refused, lifespan is handled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import Any

import pytest

from carillon.serving.bridge import Bridge, environ_of

LIMIT = 1_000


class Exchange:
    """Receives the given messages, and stores the sent ones."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.waiting = list(messages)
        self.sent: list[Any] = []

    async def receive(self) -> dict[str, Any]:
        return self.waiting.pop(0)

    async def send(self, message: Any) -> None:
        self.sent.append(message)


def scope(**changes: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "query_string": b"",
        "headers": [],
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        **changes,
    }


class Echo:
    """A WSGI application that stores its environ and responds with the body that it read."""

    def __init__(self) -> None:
        self.environ: dict[str, Any] = {}
        self.threads: list[str] = []
        self.closed_in: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.environ = environ
        self.threads.append(threading.current_thread().name)
        start_response("201 Created", [("X-Word", "caf\xe9"), ("Set-Cookie", "a=1")])
        return EchoBody(self, environ["wsgi.input"].read())


class EchoBody:
    def __init__(self, echo: Echo, body: bytes) -> None:
        self.echo, self.body = echo, body

    def __iter__(self) -> Any:
        yield from (self.body[:2], self.body[2:])

    def close(self) -> None:
        self.echo.closed_in.append(threading.current_thread().name)


async def test_a_response_has_status_headers_and_body() -> None:
    echo = Echo()
    exchange = Exchange(
        {"type": "http.request", "body": b"he", "more_body": True},
        {"type": "http.request", "body": b"llo"},
    )

    await Bridge(echo, max_body_bytes=LIMIT)(scope(method="POST"), exchange.receive, exchange.send)

    start, body = exchange.sent
    assert start == {
        "type": "http.response.start",
        "status": 201,
        "headers": [
            (b"x-word", b"caf\xe9"),
            (b"set-cookie", b"a=1"),
            (b"content-length", b"5"),
        ],
    }
    assert body == {"type": "http.response.body", "body": b"hello"}
    assert echo.environ["CONTENT_LENGTH"] == "5"


async def test_a_request_begins_and_is_closed_in_one_thread_of_the_pool() -> None:
    echo = Echo()
    exchange = Exchange({"type": "http.request"})

    await Bridge(echo, max_body_bytes=LIMIT)(scope(), exchange.receive, exchange.send)

    assert echo.threads == echo.closed_in
    assert echo.threads[0].startswith("web")


async def test_a_body_over_the_limit_is_not_read_to_its_end() -> None:
    echo = Echo()
    endless = {"type": "http.request", "body": b"x" * 600, "more_body": True}
    exchange = Exchange(*[dict(endless) for _ in range(50)])

    await Bridge(echo, max_body_bytes=LIMIT)(scope(method="POST"), exchange.receive, exchange.send)

    assert len(exchange.waiting) == 48
    assert int(echo.environ["CONTENT_LENGTH"]) > LIMIT


async def test_a_client_that_disconnects_during_its_body_gets_no_response() -> None:
    echo = Echo()
    exchange = Exchange(
        {"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}
    )

    await Bridge(echo, max_body_bytes=LIMIT)(scope(method="POST"), exchange.receive, exchange.send)

    assert exchange.sent == []
    assert echo.threads == []


async def test_a_websocket_is_closed_with_4404() -> None:
    exchange = Exchange({"type": "websocket.connect"})

    await Bridge(Echo(), max_body_bytes=LIMIT)(
        {"type": "websocket", "path": "/ws"}, exchange.receive, exchange.send
    )

    assert [message["type"] for message in exchange.sent] == [
        "websocket.accept",
        "websocket.close",
    ]
    assert exchange.sent[1]["code"] == 4404


async def test_a_given_socket_application_gets_the_sockets() -> None:
    seen: list[str] = []

    async def hub(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])

    exchange = Exchange()
    bridge = Bridge(Echo(), max_body_bytes=LIMIT, websocket=hub)
    await bridge({"type": "websocket", "path": "/ws"}, exchange.receive, exchange.send)

    assert seen == ["/ws"]


async def test_the_end_of_lifespan_waits_for_running_requests() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        begun.set()
        go_on.wait(5)
        start_response("200 OK", [])
        return [b"done"]

    bridge = Bridge(slow, max_body_bytes=LIMIT)
    request, life = (
        Exchange({"type": "http.request"}),
        Exchange({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}),
    )
    answering = asyncio.create_task(bridge(scope(), request.receive, request.send))
    await asyncio.to_thread(begun.wait, 5)
    ending = asyncio.create_task(bridge({"type": "lifespan"}, life.receive, life.send))
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(answering, ending)

    assert [message["type"] for message in life.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert request.sent[1]["body"] == b"done"


@pytest.mark.parametrize(
    ("_case", "changes", "expected"),
    [
        ("non-ASCII path", {"path": "/é"}, {"PATH_INFO": "/\xc3\xa9"}),
        ("query", {"query_string": b"a=%C3%A9"}, {"QUERY_STRING": "a=%C3%A9"}),
        ("https", {"scheme": "https"}, {"wsgi.url_scheme": "https"}),
        (
            "root path",
            {"path": "/sub/x", "root_path": "/sub"},
            {"SCRIPT_NAME": "/sub", "PATH_INFO": "/x"},
        ),
        (
            "unix socket",
            {"server": ("/run/carillon.sock", None), "client": None},
            {"SERVER_PORT": "0", "REMOTE_ADDR": ""},
        ),
        ("no server", {"server": None}, {"SERVER_NAME": "localhost"}),
        (
            "content type",
            {"headers": [(b"content-type", b"application/json")]},
            {"CONTENT_TYPE": "application/json"},
        ),
        (
            "repeated header",
            {"headers": [(b"x-a", b"1"), (b"x-a", b"2")]},
            {"HTTP_X_A": "1,2"},
        ),
        (
            "several cookies",
            {"headers": [(b"cookie", b"a=1"), (b"cookie", b"b=2")]},
            {"HTTP_COOKIE": "a=1; b=2"},
        ),
    ],
)
def test_environ_contains_the_data_of_the_scope(
    _case: str, changes: dict[str, Any], expected: dict[str, str]
) -> None:
    environ = environ_of(scope(**changes), b"")

    assert {name: environ[name] for name in expected} == expected


def test_a_header_with_an_underscore_cannot_pass_for_another() -> None:
    environ = environ_of(scope(headers=[(b"x_forwarded_for", b"10.0.0.1")]), b"")

    assert not any(name.startswith("HTTP_") for name in environ)


def test_the_length_is_that_of_the_body_whatever_was_claimed() -> None:
    environ = environ_of(scope(headers=[(b"content-length", b"999")]), b"four")

    assert environ["CONTENT_LENGTH"] == "4"
