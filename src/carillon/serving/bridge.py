"""HTTP from an ASGI server into a WSGI application, in threads; websockets and lifespan beside it.

Django's own ASGI handler starts a thread a request, and with it a database connection a request; a
pool of lasting threads serves several times as many requests (ADR 5). Each request begins and ends
in one thread, so Django's request signals tend to its connection there.

What says how the service is has pools of its own: requests that hang on a database hold up neither
the live check nor static files, which need none, nor the checks that ask for it.

An answer that names no length is streamed: a thread makes one part of it at a time, and has other
work while the client reads. So a long answer takes little memory, and a slow client no thread. Only
so many are streamed at once that slow clients never take all connections.
"""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from carillon.serving.pools import (
    ClientGone,
    NoThreadFree,
    Receive,
    ThreadPool,
    TookTooLong,
    consume_error,
    hang_up,
)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Response = tuple[int, list[tuple[bytes, bytes]], bytes]

THREADS = 4  # more only wait for one another: a request is Python, and Python runs one at a time
WAITING = 128
PATIENCE_S = 5.0
HEALTH_LIMIT_S = 2.0
METRICS_LIMIT_S = 5.0
READING_LIMIT_S = 60.0
STREAMS = 32
PART_THREADS = 2
STATIC_THREADS = 2
HEALTH_THREADS = 2
LIVE_PATH = "/health/live"
HEALTH_PATHS = ("/health", "/health/ready")
METRICS_PATH = "/metrics"
STATIC_PREFIX = "/static/"
NO_SUCH_SOCKET = 4404
_BARE_HEADERS = ("CONTENT_TYPE", "CONTENT_LENGTH")
_BODILESS = (204, 304)


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeLimits:
    """How much the bridge takes on.

    threads: for requests. waiting: requests that may wait for one; patience: for how many seconds.
    health_limit, metrics_limit: seconds in which those are answered, whatever the database does.
    reading_limit: seconds that a client may leave a part of a streamed answer unread.
    streams: answers that are streamed at once; one more is refused.
    """

    threads: int = THREADS
    waiting: int = WAITING
    patience: float = PATIENCE_S
    health_limit: float = HEALTH_LIMIT_S
    metrics_limit: float = METRICS_LIMIT_S
    reading_limit: float = READING_LIMIT_S
    streams: int = STREAMS


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer whose parts are still to be made. close ends it, read to its end or not."""

    status: int
    headers: list[tuple[bytes, bytes]]
    parts: Iterator[bytes]
    close: Callable[[], object]


Refuse = Callable[[Scope, bool], Response]
"""What is said to a request that was not answered: the scope, and whether it had begun."""


def refuse_plainly(_scope: Scope, _begun: bool) -> Response:
    """503 without words."""
    return 503, [(b"content-length", b"0"), (b"retry-after", b"1")], b""


class Bridge:
    """The ASGI application.

    max_body_bytes: of a longer body only so much is read that its length is seen to be over; a
    number, or what tells it by a path.
    websocket: the application of the realtime hub, once there is one.
    after_part: what a thread does after its part of a streamed answer; the request ends elsewhere.
    """

    def __init__(
        self,
        wsgi: WsgiApplication,
        *,
        max_body_bytes: int | Callable[[str], int],
        limits: BridgeLimits = BridgeLimits(),
        refuse: Refuse = refuse_plainly,
        websocket: Callable[[Scope, Receive, Send], Awaitable[None]] | None = None,
        after_part: Callable[[], object] = lambda: None,
    ) -> None:
        self._wsgi = wsgi
        self._max_body = max_body_bytes if callable(max_body_bytes) else lambda _: max_body_bytes
        self._refuse = refuse
        self._websocket = websocket or refuse_socket
        self._after_part = after_part
        self._closing = False
        self._reading_limit = limits.reading_limit
        self._streams_left = limits.streams
        self._parts = _pool("parts", PART_THREADS, limits)
        self._requests = _pool("web", limits.threads, limits)
        self._static = _pool("static", STATIC_THREADS, limits)
        self._health = _pool("health", HEALTH_THREADS, limits, limits.health_limit)
        self._metrics = _pool("metrics", 1, limits, limits.metrics_limit)

    def close(self) -> None:
        """From now on each answer asks its client to close the connection: this process ends."""
        self._closing = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await read_body(receive, self._max_body(scope["path"]))
            call = partial(self._call, environ_of(scope, body))
            answer = await self._pool_of(scope).run(call, receive)
        except ClientGone:
            return
        except (NoThreadFree, TookTooLong) as error:
            answer = self._refuse(scope, isinstance(error, TookTooLong))
        if isinstance(answer, Streamed):
            if self._streams_left:
                await self._stream(answer, receive, send)
                return
            await asyncio.to_thread(self._end, answer)
            answer = self._refuse(scope, False)
        status, headers, content = answer
        if self._closing:
            headers = [*headers, (b"connection", b"close")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _stream(self, answer: Streamed, receive: Receive, send: Send) -> None:
        """Sends one part after the other, each once the client has read what was before it.

        What raises here ends the connection: a client sees that the answer was cut off.
        """
        self._streams_left -= 1
        left = asyncio.ensure_future(hang_up(receive))
        left.add_done_callback(consume_error)

        async def gone() -> Message:
            await asyncio.shield(left)
            return {"type": "http.disconnect"}

        headers = [*answer.headers, *([(b"connection", b"close")] if self._closing else [])]
        with_parts = partial(self._part, answer.parts)
        try:
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            while not left.done() and (part := await self._parts.run(with_parts, gone)) is not None:
                body = {"type": "http.response.body", "body": part, "more_body": True}
                await asyncio.wait_for(send(body), self._reading_limit)
            await send({"type": "http.response.body", "body": b""})
        except ClientGone:
            return
        finally:
            self._streams_left += 1
            left.cancel()
            await asyncio.to_thread(self._end, answer)

    def _part(self, parts: Iterator[bytes]) -> bytes | None:
        try:
            return next((part for part in parts if part), None)
        finally:
            self._after_part()

    def _end(self, answer: Streamed) -> None:
        try:
            answer.close()
        finally:
            self._after_part()

    def _pool_of(self, scope: Scope) -> ThreadPool:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        place = path.rstrip("/")
        if place in HEALTH_PATHS:
            return self._health
        if place == LIVE_PATH or path.startswith(STATIC_PREFIX):
            return self._static
        return self._metrics if place == METRICS_PATH else self._requests

    def _call(self, environ: dict[str, Any]) -> Response | Streamed:
        """Runs one request in this thread: to its end, unless its answer is to be streamed."""
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            started.append((status, headers))

        parts = self._wsgi(environ, start_response)
        close: Callable[[], object] = getattr(parts, "close", None) or (lambda: None)
        if getattr(parts, "streaming", False) and _is_streamed(*started[-1]):
            status, headers = started[-1]
            self._after_part()
            made = iter(()) if environ["REQUEST_METHOD"] == "HEAD" else iter(parts)
            return Streamed(int(status[:3]), encode_headers(headers, None), made, close)
        try:
            content = b"".join(parts)
        finally:
            close()
        status, headers = started[-1]
        number = int(status[:3])
        return number, encode_headers(headers, None if number in _BODILESS else content), content

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await asyncio.to_thread(self._requests.shutdown)
                await asyncio.to_thread(self._parts.shutdown)
                await send({"type": "lifespan.shutdown.complete"})
                return


def _pool(name: str, threads: int, limits: BridgeLimits, limit: float | None = None) -> ThreadPool:
    patience = limits.patience if limit is None else limit
    return ThreadPool(name, threads, waiting=limits.waiting, patience=patience, limit=limit)


def _is_streamed(status: str, headers: Iterable[tuple[str, str]]) -> bool:
    """Whether it has content, and nobody knows yet how much."""
    known = any(name.lower() == "content-length" for name, _ in headers)
    return not known and int(status[:3]) not in _BODILESS


def encode_headers(
    headers: Iterable[tuple[str, str]], content: bytes | None
) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI has them, with the content's length where there is content and none yet."""
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    if content is not None and not any(name == b"content-length" for name, _ in encoded):
        encoded.append((b"content-length", str(len(content)).encode()))
    return encoded


async def read_body(receive: Receive, limit: int) -> bytes:
    """The request's body; of one over `limit` only so much that its size is seen to be over.

    Raises:
        ClientGone: the client hung up meanwhile.
    """
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        chunks.append(chunk)
        if size > limit or not message.get("more_body", False):
            return b"".join(chunks)


def environ_of(scope: Scope, body: bytes) -> dict[str, Any]:
    """PEP 3333's environ. CONTENT_LENGTH is what was read, whatever the client claimed."""
    server = scope.get("server") or ("localhost", None)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": _wsgi_text(scope.get("root_path", "")),
        "PATH_INFO": _wsgi_text(scope["path"].removeprefix(scope.get("root_path", ""))),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or 0),
        "SERVER_PROTOCOL": f"HTTP/{scope.get('http_version', '1.1')}",
        "REMOTE_ADDR": (scope.get("client") or ("", 0))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        _add_header(environ, name.decode("latin-1"), value.decode("latin-1"))
    environ["CONTENT_LENGTH"] = str(len(body))
    return environ


def _wsgi_text(text: str) -> str:
    """WSGI hands bytes on as Latin-1 text; ASGI's path is the decoded UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _add_header(environ: dict[str, Any], name: str, value: str) -> None:
    """Adds a request header. Names with an underscore are dropped: they would pass for others."""
    if "_" in name:
        return
    key = name.upper().replace("-", "_")
    if key not in _BARE_HEADERS:
        key = f"HTTP_{key}"
    if key in environ:
        value = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{value}"
    environ[key] = value


async def refuse_socket(scope: Scope, receive: Receive, send: Send) -> None:
    """Closes a websocket with 4404. Accepting first is what lets the client see the code."""
    message = await receive()
    if message["type"] == "websocket.connect":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": NO_SUCH_SOCKET, "reason": "nothing here"})
