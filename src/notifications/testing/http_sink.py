"""An HTTP/1.1 server on loopback that takes every request, or does what a script says."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from notifications.testing.loopback import Act, Sink, reset


@dataclass(frozen=True, slots=True)
class TakenRequest:
    """An HTTP request as the sink took it; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer.

    cut sends half of the body and resets; drip_s pauses before each byte; raw is sent instead of
    all the rest.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    drip_s: float = 0.0
    raw: bytes = b""


HTTPScript = Callable[[TakenRequest], Reply | Act]


class HTTPSink(Sink):
    """Takes requests with a Content-Length and answers `{}`.

    Args:
        keep: whether requests are kept in `requests`; `count` counts either way.
        script: called with each request; returns what to answer or to do.
    """

    def __init__(self, *, keep: bool = True, script: HTTPScript | None = None) -> None:
        super().__init__()
        self.requests: list[TakenRequest] = []
        self.script = script
        self.connections = 0
        self._keep = keep

    @property
    def url(self) -> str:
        """Where it is reached, without a trailing slash."""
        return f"http://{self.host}:{self.port}"

    def connection(self) -> asyncio.Protocol:
        return _HTTPConnection(self)

    def take(self, request: TakenRequest) -> Reply | Act:
        self.count += 1
        if self._keep:
            self.requests.append(request)
        return self.script(request) if self.script else Reply()


class _HTTPConnection(asyncio.Protocol):
    def __init__(self, sink: HTTPSink) -> None:
        self._sink = sink
        self._buffer = b""
        self._dripping: deque[bytes] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = self._sink.joined(transport)
        self._sink.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._sink.left(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (request := self._read()) is not None and not self._transport.is_closing():
            self._answer(self._sink.take(request))

    def _read(self) -> TakenRequest | None:
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
        return TakenRequest(method, path, headers, rest[:length])

    def _answer(self, reply: Reply | Act) -> None:
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
