"""Passes HTTP from an ASGI server to a WSGI application in threads; also websockets and lifespan.

Django's own ASGI handler starts a thread and opens a database connection for each request. A pool
of permanent threads serves several times as many requests (ADR 5). Each request begins and ends in
one thread, so Django's request signals manage the connection of that thread.

Health checks have their own pools. Requests that hang on a database delay neither the live check,
static files and links of mails, which use no database, nor the checks that use one.

A response without a length is streamed: a thread makes one part at a time and does other work while
the client reads. So a long response uses little memory, and a slow client uses no thread. The
number of streams is limited, so that slow clients never use all connections.
"""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

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

THREADS = 4  # more threads would wait for one another: Python runs one thread at a time
WAITING = 128
PATIENCE_S = 5.0
HEALTH_LIMIT_S = 2.0
METRICS_LIMIT_S = 5.0
READING_LIMIT_S = 60.0
STREAMS = 32
PART_THREADS = 2
STATIC_THREADS = 2
HEALTH_THREADS = 2
TRACKING_THREADS = 2
PICTURE_THREADS = 2
LIVE_PATH = "/health/live"
HEALTH_PATHS = ("/health", "/health/ready")
METRICS_PATH = "/metrics"
STATIC_PREFIX = "/static/"
TRACKING_PREFIX = "/api/v1/track/"
PICTURE_PATH = "/preview-images"  # a call to another host, which may be slow
NO_SUCH_SOCKET = 4404
_BARE_HEADERS = ("CONTENT_TYPE", "CONTENT_LENGTH")
_BODILESS = (204, 304)


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeLimits:
    """The limits of the bridge."""

    #: Threads for requests.
    threads: int = THREADS
    #: Requests that may wait for a thread.
    waiting: int = WAITING
    #: Seconds that a request may wait for a thread.
    patience: float = PATIENCE_S
    #: Seconds within which a health check gets its response, whatever the database does.
    health_limit: float = HEALTH_LIMIT_S
    #: Seconds within which /metrics gets its response, whatever the database does.
    metrics_limit: float = METRICS_LIMIT_S
    #: Seconds that a client may leave a part of a streamed response unread.
    reading_limit: float = READING_LIMIT_S
    #: Responses that are streamed at once; further ones are refused.
    streams: int = STREAMS


@dataclass(frozen=True, slots=True)
class Streamed:
    """A response whose parts are made one by one."""

    status: int
    headers: list[tuple[bytes, bytes]]
    parts: Iterator[bytes]
    #: Ends the response, whether or not all parts were read.
    close: Callable[[], object]


class Grouped(Protocol):
    """Serves requests together."""

    async def __call__(self, scope: Scope, body: bytes, receive: Receive) -> Response | None:
        """Returns the response to one request; None where it must be served alone."""

    def shutdown(self) -> None:
        """Waits for the requests in progress."""


Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Refuse = Callable[[Scope, bool], Response]
"""Makes the response to a refused request from its scope and whether its work had begun."""


def refuse_plainly(_scope: Scope, _begun: bool) -> Response:
    """Returns 503 without a body."""
    return 503, [(b"content-length", b"0"), (b"retry-after", b"1")], b""


class Bridge:
    """The ASGI application."""

    def __init__(
        self,
        wsgi: WsgiApplication,
        *,
        max_body_bytes: int | Callable[[str], int],
        limits: BridgeLimits = BridgeLimits(),
        refuse: Refuse = refuse_plainly,
        websocket: Application | None = None,
        streams: Mapping[str, Application] = MappingProxyType({}),
        after_part: Callable[[], object] = lambda: None,
        grouped: Grouped | None = None,
    ) -> None:
        """Creates the application.

        max_body_bytes: a number, or a function of the path. A longer body is read only until its
        length exceeds the limit.
        websocket: the application of websockets.
        streams: what serves GETs of some paths on the event loop, by path: they last for minutes.
        after_part: called in the thread that made a part of a streamed response, because the
        request ends in another thread.
        grouped: serves some routes in groups, ahead of `wsgi`.
        """
        self._wsgi = wsgi
        self._max_body = max_body_bytes if callable(max_body_bytes) else lambda _: max_body_bytes
        self._refuse = refuse
        self._websocket = websocket or refuse_socket
        self._streams = streams
        self._after_part = after_part
        self._grouped = grouped
        self._closing = False
        self._reading_limit = limits.reading_limit
        self._parts_left = limits.streams
        self._parts = _pool("parts", PART_THREADS, limits)
        self._requests = _pool("web", limits.threads, limits)
        self._static = _pool("static", STATIC_THREADS, limits)
        self._health = _pool("health", HEALTH_THREADS, limits, limits.health_limit)
        self._tracking = _pool("tracking", TRACKING_THREADS, limits)
        self._pictures = _pool("pictures", PICTURE_THREADS, limits)
        self._metrics = _pool("metrics", 1, limits, limits.metrics_limit)

    def close(self) -> None:
        """Adds `connection: close` to all later responses: this process is about to end."""
        self._closing = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            serve = self._streams.get(scope["path"].removesuffix("/"))
            if serve is not None and scope["method"] == "GET":
                await serve(scope, receive, send)
            else:
                await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await read_body(receive, self._max_body(scope["path"]))
            began = asyncio.get_running_loop().time()
            found = await self._grouped(scope, body, receive) if self._grouped else None
            response = found or await self._run_one(scope, body, receive, began)
        except ClientGone:
            return
        except (NoThreadFree, TookTooLong) as error:
            response = self._refuse(scope, isinstance(error, TookTooLong))
        if isinstance(response, Streamed):
            if self._parts_left:
                await self._stream(response, receive, send)
                return
            await asyncio.to_thread(self._end, response)
            response = self._refuse(scope, False)
        status, headers, content = response
        if self._closing:
            headers = [*headers, (b"connection", b"close")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _run_one(
        self, scope: Scope, body: bytes, receive: Receive, began: float
    ) -> Response | Streamed:
        """Runs one request in a thread of its pool. began: when it began to wait, on the loop."""
        call = partial(self._call, environ_of(scope, body))
        return await self._pool_of(scope).run(call, receive, began=began)

    async def _stream(self, response: Streamed, receive: Receive, send: Send) -> None:
        """Sends the parts one by one, each after the client has read the part before.

        An exception here closes the connection: the client sees that the response was cut off.
        """
        self._parts_left -= 1
        left = asyncio.ensure_future(hang_up(receive))
        left.add_done_callback(consume_error)

        async def gone() -> Message:
            await asyncio.shield(left)
            return {"type": "http.disconnect"}

        headers = [*response.headers, *([(b"connection", b"close")] if self._closing else [])]
        with_parts = partial(self._part, response.parts)
        start = {"type": "http.response.start", "status": response.status, "headers": headers}
        try:
            await send(start)
            while not left.done() and (part := await self._parts.run(with_parts, gone)) is not None:
                body = {"type": "http.response.body", "body": part, "more_body": True}
                await asyncio.wait_for(send(body), self._reading_limit)
            await send({"type": "http.response.body", "body": b""})
        except ClientGone:
            return
        finally:
            self._parts_left += 1
            left.cancel()
            await asyncio.to_thread(self._end, response)

    def _part(self, parts: Iterator[bytes]) -> bytes | None:
        try:
            return next((part for part in parts if part), None)
        finally:
            self._after_part()

    def _end(self, response: Streamed) -> None:
        try:
            response.close()
        finally:
            self._after_part()

    def _pool_of(self, scope: Scope) -> ThreadPool:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        place = path.rstrip("/")
        if place in HEALTH_PATHS:
            return self._health
        if place == LIVE_PATH or path.startswith(STATIC_PREFIX):
            return self._static
        if path.startswith(TRACKING_PREFIX):
            return self._tracking
        if place == PICTURE_PATH:
            return self._pictures
        return self._metrics if place == METRICS_PATH else self._requests

    def _call(self, environ: dict[str, Any]) -> Response | Streamed:
        """Runs one request in this thread, to its end unless its response is streamed."""
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
                if self._grouped is not None:
                    await asyncio.to_thread(self._grouped.shutdown)
                await send({"type": "lifespan.shutdown.complete"})
                return


def _pool(name: str, threads: int, limits: BridgeLimits, limit: float | None = None) -> ThreadPool:
    patience = limits.patience if limit is None else limit
    return ThreadPool(name, threads, waiting=limits.waiting, patience=patience, limit=limit)


def _is_streamed(status: str, headers: Iterable[tuple[str, str]]) -> bool:
    """Returns whether a response has content of unknown length."""
    known = any(name.lower() == "content-length" for name, _ in headers)
    return not known and int(status[:3]) not in _BODILESS


def encode_headers(
    headers: Iterable[tuple[str, str]], content: bytes | None
) -> list[tuple[bytes, bytes]]:
    """Returns headers in ASGI's form, with the content's length unless it is there already."""
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    if content is not None and not any(name == b"content-length" for name, _ in encoded):
        encoded.append((b"content-length", str(len(content)).encode()))
    return encoded


async def read_body(receive: Receive, limit: int) -> bytes:
    """Reads the request's body; reads a body over `limit` only until it exceeds the limit.

    Raises:
        ClientGone: the client disconnected meanwhile.
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
    """Returns PEP 3333's environ. CONTENT_LENGTH is the length read, not the one claimed."""
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
    """Converts ASGI's path (decoded UTF-8) to WSGI's form (bytes as Latin-1 text)."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _add_header(environ: dict[str, Any], name: str, value: str) -> None:
    """Adds a request header. Drops names with an underscore: they could imitate other headers."""
    if "_" in name:
        return
    key = name.upper().replace("-", "_")
    if key not in _BARE_HEADERS:
        key = f"HTTP_{key}"
    if key in environ:
        value = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{value}"
    environ[key] = value


async def refuse_socket(scope: Scope, receive: Receive, send: Send) -> None:
    """Closes a websocket with 4404; accepts it first, because otherwise no client sees the code."""
    message = await receive()
    if message["type"] == "websocket.connect":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": NO_SUCH_SOCKET, "reason": "nothing here"})
