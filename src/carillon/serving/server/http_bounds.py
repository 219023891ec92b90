"""Bounds what slow or large requests may use of the server: time, connections and headers."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from carillon.serving.server.held import Held
from carillon.serving.server.upgrades import upgrades_of
from carillon.settings.headers import add_missing
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
from notifications.infra.conf import environment

KNOWN_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_FULL = "too many connections are open: repeat the request in a moment"
_Timer = asyncio.TimerHandle | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The bounds of a web process."""

    #: Seconds for a request's head.
    head_s: float = 10.0
    #: Seconds for a request's body.
    body_s: float = 60.0
    #: Seconds in which the client must read some of a response.
    unread_s: float = 60.0
    #: Connections at once.
    connections: int = 1_000
    #: Bytes of a request's path and headers.
    max_header_bytes: int = 32_768
    #: Headers of a request.
    max_headers: int = 100


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with `bounds`. A violation gets an error and closes the connection."""

    bounds = Bounds()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._timer: _Timer = None
        self._unread_timer: _Timer = None
        self._in_head = True
        self._head_bytes = 0
        self._refused = False
        self._is_held = False
        self._quiet_since = self.loop.time()
        super().connection_made(transport)
        requests = len(self.connections) - Held.count
        if requests > self.bounds.connections and not self._close_waiting():
            self.refuse(Overloaded(_FULL))
            return
        self._wait(self.bounds.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._hold(False)
        self._wait(None)
        self._end_unread()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Starts the timer for a client that reads more slowly than the server writes."""
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

    def on_response_complete(self) -> None:
        self._quiet_since = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuses a request that the parser cannot read: an unknown method, or no HTTP at all."""
        if isinstance(sys.exception(), httptools.HttpParserInvalidMethodError):
            self.refuse(MethodNotAllowed(f"known methods: {KNOWN_METHODS}"))
        else:
            self.refuse(InvalidRequest([FieldError("", "bad_request", "this is not HTTP")]))

    def handle_websocket_upgrade(self) -> None:
        """Lets the connection wait for its turn. What the client sends meanwhile waits, too."""
        self._wait(None)
        if not self._refused:
            self._hold(True)
            self.transport.pause_reading()
            upgrades_of(self.loop).add(self._upgrade)

    def _upgrade(self) -> None:
        if self._is_held:  # else the client has left
            self._hold(False)
            self.transport.resume_reading()
            super().handle_websocket_upgrade()

    def _hold(self, is_held: bool) -> None:
        """Counts a connection that waits for its handshake as a socket, and not as a request."""
        if is_held != self._is_held:
            self._is_held = is_held
            Held.count += 1 if is_held else -1

    def refuse(self, error: CarillonError) -> None:
        """Sends a problem and closes the connection."""
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
        """Starts a timer, because closing a connection waits for the client to read: forever."""
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
        self.refuse(HeadersTooLarge(f"{detail} in total are allowed, including the path"))

    def _too_slow(self) -> None:
        part = "head" if self._in_head else "body"
        self._timer = None
        if not self.is_waiting:  # the next request is late, this one is worked on
            self._wait(self.bounds.head_s)
        elif self._in_head and not self._head_bytes:
            self.transport.close()  # the client sent no request
        else:
            self.refuse(RequestTimeout(f"the request's {part} did not arrive in time"))

    def _wait(self, seconds: float | None) -> None:
        """Starts the timer for what the client is sending; None stops the timer."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._too_slow)

    @property
    def is_waiting(self) -> bool:
        """Whether no request of this connection is being processed."""
        if self._is_held:
            return False
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def _close_waiting(self) -> bool:
        """Closes a waiting connection; False if there is none.

        It closes the one that sent nothing for the longest time, else the one that sent the least
        of its request. So a new request, such as a health check, takes precedence over idle
        connections. A client that connected just now is about to send one.
        """
        others = [
            each
            for each in self.connections
            if each is not self and isinstance(each, BoundedProtocol) and each.is_waiting
        ]
        if not others:
            return False
        other = min(
            others, key=lambda each: (not each._in_head, each._head_bytes, each._quiet_since)
        )
        other.refuse(Overloaded(_FULL))
        self.connections.discard(other)
        return True


def bounded(bounds: Bounds) -> type[BoundedProtocol]:
    """Returns the protocol class with these bounds, for uvicorn's `http` setting."""
    return type("Protocol", (BoundedProtocol,), {"bounds": bounds})


def _problem(error: CarillonError) -> bytes:
    """Returns a whole response with a problem and `connection: close`."""
    status = status_of(error)
    body = msgspec.json.encode(problem_body(error, path=""))
    more = {405: f"allow: {KNOWN_METHODS}\r\n", 503: f"retry-after: {RETRY_AFTER_S}\r\n"}
    head = (
        f"HTTP/1.1 {status} {title_of(status)}\r\ncontent-type: {PROBLEM_TYPE}\r\n"
        f"content-length: {len(body)}\r\n{_security_lines()}"
        f"{more.get(status, '')}connection: close\r\n\r\n"
    )
    return head.encode() + body


def _security_lines() -> str:
    """Returns the security headers as lines. The path is not known: the request may have none."""
    headers: dict[str, str] = {}
    add_missing(headers, "/api/", https_only=environment().production)
    return "".join(f"{name.lower()}: {value}\r\n" for name, value in headers.items())
