"""HTTP from an ASGI server into a WSGI application, in threads; websockets and lifespan beside it.

Django's own ASGI handler starts a thread a request, and with it a database connection a request; a
pool of lasting threads serves several times as many requests (ADR 3). Each request begins and ends
in one thread, so Django's request signals tend to its connection there.
"""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]

THREADS = 4  # more only wait for one another: a request is Python, and Python runs one at a time
NO_SUCH_SOCKET = 4404
_BARE_HEADERS = ("CONTENT_TYPE", "CONTENT_LENGTH")
_BODILESS = (204, 304)


class ClientGone(Exception):
    """The client hung up before its request was complete."""


class Bridge:
    """The ASGI application. websocket: the application of the realtime hub, once there is one."""

    def __init__(
        self,
        wsgi: WsgiApplication,
        *,
        max_body_bytes: int,
        threads: int = THREADS,
        websocket: Callable[[Scope, Receive, Send], Awaitable[None]] | None = None,
    ) -> None:
        self._wsgi = wsgi
        self._limit = max_body_bytes
        self._websocket = websocket or refuse_socket
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="web")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await read_body(receive, self._limit)
        except ClientGone:
            return
        loop = asyncio.get_running_loop()
        environ = environ_of(scope, body)
        status, headers, content = await loop.run_in_executor(self._threads, self._call, environ)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _call(self, environ: dict[str, Any]) -> Answer:
        """Runs one request from beginning to end in this thread."""
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            started.append((status, headers))

        parts = self._wsgi(environ, start_response)
        try:
            content = b"".join(parts)
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()
        status, headers = started[-1]
        encoded = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers
        ]
        number = int(status[:3])
        if number not in _BODILESS and not any(name == b"content-length" for name, _ in encoded):
            encoded.append((b"content-length", str(len(content)).encode()))
        return number, encoded, content

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await asyncio.to_thread(self._threads.shutdown, wait=True)
                await send({"type": "lifespan.shutdown.complete"})
                return


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
