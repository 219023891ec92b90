"""An HTTP/1.1 server on loopback that accepts every request, or follows a script."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from notifications.testing.loopback import Act, Sink, reset


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """An HTTP request that the sink received; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Sends half of the body, then resets the connection.
    cut: bool = False
    #: Seconds to pause before each byte.
    drip_s: float = 0.0
    #: Bytes to send instead of the rest.
    raw: bytes = b""


HTTPScript = Callable[[ReceivedRequest], Reply | Act]


class HTTPSink(Sink):
    """Accepts requests with a Content-Length and responds `{}`.

    Args:
        store: whether `requests` stores the requests; `count` counts them in any case.
        script: called with each request; returns the response or an action.
    """

    def __init__(self, *, store: bool = True, script: HTTPScript | None = None) -> None:
        super().__init__()
        self.requests: list[ReceivedRequest] = []
        self.script = script
        self.connections = 0
        self._store = store

    @property
    def url(self) -> str:
        """Its URL, without a trailing slash."""
        return f"http://{self.host}:{self.port}"

    def connection(self) -> asyncio.Protocol:
        return _HTTPConnection(self)

    def receive(self, request: ReceivedRequest) -> Reply | Act:
        self.count += 1
        if self._store:
            self.requests.append(request)
        return self.script(request) if self.script else Reply()


class _HTTPConnection(asyncio.Protocol):
    def __init__(self, sink: HTTPSink) -> None:
        self._sink = sink
        self._buffer = b""
        self._dripping: deque[bytes] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = self._sink.add(transport)
        self._sink.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._sink.remove(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (request := self._read()) is not None and not self._transport.is_closing():
            self._respond(self._sink.receive(request))

    def _read(self) -> ReceivedRequest | None:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return None
        self._buffer = rest[length:]
        method, path, _ = first.split(" ", 2)
        return ReceivedRequest(method, path, headers, rest[:length])

    def _respond(self, reply: Reply | Act) -> None:
        if isinstance(reply, Act):
            if reply is Act.DROP:
                self._transport.close()
            elif reply is Act.RESET:
                reset(self._transport)
            return
        fields = {"Content-Type": "application/json", **reply.headers}
        fields["Content-Length"] = str(len(reply.body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        raw = f"HTTP/1.1 {reply.status} Scripted\r\n{lines}\r\n".encode() + reply.body
        if reply.raw:
            raw = reply.raw
        if reply.cut:
            self._transport.write(raw[: len(raw) - len(reply.body) // 2 - 1])
            asyncio.get_running_loop().call_later(0.01, reset, self._transport)
        elif reply.drip_s:
            self._dripping.extend(raw[at : at + 1] for at in range(len(raw)))
            self._drip(reply.drip_s)
        else:
            self._transport.write(raw)

    def _drip(self, pause_s: float) -> None:
        if self._dripping and not self._transport.is_closing():
            self._transport.write(self._dripping.popleft())
            asyncio.get_running_loop().call_later(pause_s, self._drip, pause_s)
