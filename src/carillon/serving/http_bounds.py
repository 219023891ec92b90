"""What a client may take of the server by being slow or long: time, connections and headers."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from notifications.api.errors import (
    RETRY_AFTER_S,
    HeadersTooLarge,
    MethodNotAllowed,
    Overloaded,
    RequestTimeout,
    problem_body,
    status_of,
    title_of,
)
from notifications.api.response import PROBLEM_TYPE
from notifications.domain.errors import CarillonError, FieldError, InvalidRequest

KNOWN_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_FULL = "too many connections are open: repeat it in a moment"
_Timer = asyncio.TimerHandle | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Seconds for a request's head and for its body, and without a byte of an answer being read;
    connections at once; a head's bytes and header lines."""

    head_s: float = 10.0
    body_s: float = 60.0
    unread_s: float = 60.0
    connections: int = 1_000
    max_header_bytes: int = 32_768
    max_headers: int = 100


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol under `bounds`. What breaks one is told and the connection closed."""

    bounds = Bounds()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._timer: _Timer = None
        self._unread_timer: _Timer = None
        self._in_head = True
        self._head_bytes = 0
        self._refused = False
        super().connection_made(transport)
        if len(self.connections) > self.bounds.connections and not self._make_room():
            self.refuse(Overloaded(_FULL))
            return
        self._wait(self.bounds.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        self._end_unread()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads more slowly than it is answered."""
        super().pause_writing()
        self._watch_unread()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._end_unread()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._in_head:
            if self._timer is None:  # the first bytes after an idle time
                self._wait(self.bounds.head_s)
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > self.bounds.max_header_bytes:
            self._refuse_head()

    def on_headers_complete(self) -> None:
        self._in_head = False
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.bounds.max_header_bytes or len(self.headers) > self.bounds.max_headers:
            self._refuse_head()
            return
        self._wait(self.bounds.body_s)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._wait(None)
        self._in_head, self._head_bytes = True, 0
        if not self._refused:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What the parser could not read: an unknown method, or nonsense."""
        if isinstance(sys.exception(), httptools.HttpParserInvalidMethodError):
            self.refuse(MethodNotAllowed(f"known methods: {KNOWN_METHODS}"))
        else:
            self.refuse(InvalidRequest([FieldError("", "bad_request", "this is not HTTP")]))

    def handle_websocket_upgrade(self) -> None:
        self._wait(None)
        if not self._refused:
            super().handle_websocket_upgrade()

    def refuse(self, error: CarillonError) -> None:
        """Answers a problem and closes the connection."""
        if self._refused:
            return
        self._refused = True
        self._wait(None)
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_problem(error))
        self.transport.close()

    def _watch_unread(self) -> None:
        """Closing a connection waits for its client to read: without an end, for one that never
        does."""
        size = self.transport.get_write_buffer_size()
        self._unread_timer = self.loop.call_later(self.bounds.unread_s, self._check_unread, size)

    def _check_unread(self, unread_before: int) -> None:
        if self.transport.get_write_buffer_size() < unread_before:
            self._watch_unread()
        else:
            self.transport.abort()

    def _end_unread(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _refuse_head(self) -> None:
        detail = (
            f"at most {self.bounds.max_headers} headers of {self.bounds.max_header_bytes:,} bytes"
        )
        self.refuse(HeadersTooLarge(f"{detail} in all are read, the path included"))

    def _too_slow(self) -> None:
        part = "head" if self._in_head else "body"
        self._timer = None
        if not self.is_waiting:  # the next request is late, this one is worked on
            self._wait(self.bounds.head_s)
        elif self._in_head and not self._head_bytes:
            self.transport.close()  # nothing was asked
        else:
            self.refuse(RequestTimeout(f"the request's {part} did not come in time"))

    def _wait(self, seconds: float | None) -> None:
        """Gives the client so many seconds for what it is sending; None: nothing is due."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._too_slow)

    @property
    def is_waiting(self) -> bool:
        """Whether no request of this connection is being worked on."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def _make_room(self) -> bool:
        """Closes a connection that only waits, one without a request first: who asks comes first,
        a health check among them."""
        others = [
            each
            for each in self.connections
            if each is not self and isinstance(each, BoundedProtocol) and each.is_waiting
        ]
        if not others:
            return False
        other = min(others, key=lambda each: (not each._in_head, each._head_bytes))
        other.refuse(Overloaded(_FULL))
        self.connections.discard(other)
        return True


def bounded(bounds: Bounds) -> type[BoundedProtocol]:
    """The protocol under these bounds, for uvicorn's `http` setting."""
    return type("Protocol", (BoundedProtocol,), {"bounds": bounds})


def _problem(error: CarillonError) -> bytes:
    """A whole answer that says what is wrong, and that the connection ends."""
    status = status_of(error)
    body = msgspec.json.encode(problem_body(error, path=""))
    more = {405: f"allow: {KNOWN_METHODS}\r\n", 503: f"retry-after: {RETRY_AFTER_S}\r\n"}
    head = (
        f"HTTP/1.1 {status} {title_of(status)}\r\ncontent-type: {PROBLEM_TYPE}\r\n"
        f"content-length: {len(body)}\r\ncache-control: no-store\r\n"
        f"{more.get(status, '')}connection: close\r\n\r\n"
    )
    return head.encode() + body
