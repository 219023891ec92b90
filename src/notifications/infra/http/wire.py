"""One HTTP/1.1 connection (RFC 9112): one write sends a request, llhttp parses the response.

A general client builds a dozen objects for each call, which took half the cost of a push; see
docs/benchmarks.md. `pool.py` stores connections, `client.py` chooses them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import httptools

READ_LIMIT = 65_536
_HEAD_LIMIT = 65_536


class NotHTTP(Exception):
    """The server did not return an HTTP response."""


class Headers(Mapping[str, str]):
    """Field lines by name, whatever its case; of a name that came twice, the last."""

    __slots__ = ("_by_name", "_lines")

    def __init__(self, lines: Sequence[tuple[bytes, bytes]]) -> None:
        self._lines = lines
        self._by_name: dict[str, str] | None = None  # most responses are never read

    def _names(self) -> dict[str, str]:
        if self._by_name is None:
            self._by_name = {
                name.decode("latin-1").lower(): value.decode("utf-8", "replace")
                for name, value in self._lines
            }
        return self._by_name

    def __getitem__(self, name: str) -> str:
        return self._names()[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())


@dataclass(frozen=True, slots=True)
class Response:
    """A status and the body as far as it was read; complete is False when it was cut off."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool = True

    def text(self, limit: int = 2000) -> str:
        """Returns the beginning of the body, for the encrypted record of the response."""
        return self.body[:limit].decode("utf-8", "replace")


class Wire(asyncio.Protocol):
    """A connection that carries one exchange at a time.

    on_gone is called once, when the connection has ended. read_limit: the most bytes of a body.
    """

    def __init__(self, on_gone: Callable[[Wire], None], *, read_limit: int = READ_LIMIT) -> None:
        self._read_limit = read_limit
        self.idle_since = 0.0
        self._on_gone = on_gone
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[Response] | None = None
        self._reusable = True
        self._lines: list[tuple[bytes, bytes]] = []
        self._body = bytearray()
        self._status = self._head_bytes = 0

    @property
    def usable(self) -> bool:
        """Whether another exchange may follow."""
        return (
            self._reusable
            and self._waiter is None
            and self._transport is not None
            and not self._transport.is_closing()
        )

    async def exchange(self, request: bytes, timeout_s: float) -> Response:
        """Writes a request and reads its response, at most `read_limit` bytes of the body.

        An error after the status only makes the response incomplete.

        Raises:
            TimeoutError, ConnectionError, NotHTTP: no status came back.
        """
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        self._lines, self._body = [], bytearray()
        self._status = self._head_bytes = 0
        self._reusable = False  # until the whole response is read
        waiter: asyncio.Future[Response] = loop.create_future()
        self._waiter = waiter
        timer = loop.call_later(timeout_s, self._end, TimeoutError())
        self._transport.write(request)
        try:
            return await waiter
        finally:
            timer.cancel()
            self._waiter = None
            if not self._reusable:
                self.abort()

    def abort(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio's callbacks ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None and self._status and self._ends_with_the_connection():
            self._finish(complete=True)
        else:
            self._end(ConnectionResetError())
        self._on_gone(self)

    def data_received(self, data: bytes) -> None:
        if not self._is_waiting():
            self._reusable = False
            self.abort()  # unrequested data must not count as the response to the next request
            return
        if not self._status:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._end(NotHTTP())
            return
        if len(self._body) > self._read_limit or (
            not self._status and self._head_bytes > _HEAD_LIMIT
        ):
            self._end(NotHTTP())

    # -- llhttp's callbacks ----------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if not self._is_waiting():
            self._reusable = False  # a second response to one request belongs to no request
            self._lines = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._lines.append((name, value))

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        if len(self._body) <= self._read_limit:
            self._body += body

    def on_message_complete(self) -> None:
        if not self._is_waiting():
            return
        if self._status < 200:  # 100 Continue, 103 Early Hints: the response follows
            self._lines, self._status = [], 0
            return
        complete = len(self._body) <= self._read_limit
        self._reusable = complete and self._parser.should_keep_alive()
        self._finish(complete=complete)

    # -- the end of an exchange ------------------------------------------------------------------

    def _is_waiting(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def _ends_with_the_connection(self) -> bool:
        framing = (b"content-length", b"transfer-encoding")
        return not any(name.lower() in framing for name, _ in self._lines)

    def _end(self, error: Exception) -> None:
        """Ends the exchange, with the response as far as it is known."""
        if self._status:
            self._finish(complete=False)
        elif self._waiter is not None and self._is_waiting():
            self._waiter.set_exception(error)

    def _finish(self, *, complete: bool) -> None:
        if self._waiter is not None and self._is_waiting():
            body = bytes(self._body[: self._read_limit])
            self._waiter.set_result(Response(self._status, Headers(self._lines), body, complete))
