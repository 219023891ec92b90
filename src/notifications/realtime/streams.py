"""An inbox over HTTP: server-sent events, and long polls.

They are served on the event loop, because each would hold a thread of requests for minutes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Protocol
from urllib.parse import parse_qs

import msgspec
from django.http import HttpResponse

from notifications.api.errors import Overloaded, Unavailable, problem_response
from notifications.api.response import JsonResponse
from notifications.domain.errors import CarillonError, FieldError, InvalidRequest
from notifications.features.access.authentication import Unauthenticated
from notifications.features.access.socket_tokens import SocketToken
from notifications.features.access.throttles import Throttled
from notifications.infra import clock
from notifications.realtime.center import Center, TooMany, read_place
from notifications.realtime.consumers import RESTART, SPREAD_S
from notifications.realtime.frames import Frame, events_of
from notifications.realtime.members import Gone
from notifications.realtime.rounds import TOKEN_ENDED

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

STREAM_PATH = "/api/v1/inbox/stream"
EVENTS_PATH = "/api/v1/inbox/events"
PATHS = (STREAM_PATH, EVENTS_PATH)
LONGEST_WAIT_S = 25
FIRST_S = 10.0
"""A read of the database may take so long; then the client gets 503."""
_RETRY_S = 5
_KNOWN = {STREAM_PATH: ("ticket", "after"), EVENTS_PATH: ("after", "wait")}
_LONGEST_QUERY = 10_000


class Complete(Protocol):
    """Adds the headers that every response of the API has."""

    def __call__(
        self, scope: Scope, response: HttpResponse
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Returns the status, the headers and the body."""


class StreamOut:
    """Writes frames as server-sent events."""

    __slots__ = ("_send", "ended")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.ended = asyncio.Event()

    def write(self, frames: Sequence[Frame]) -> bool:
        """HTTP has no way to write at once."""
        return False

    async def send(self, frames: Sequence[Frame]) -> None:
        """Writes frames when the client reads."""
        await self._part(b"".join(events_as_sse(frames)))

    async def close(self, code: int, reason: str) -> None:
        """Ends the stream. A client whose token ended is asked for another one."""
        if code == TOKEN_ENDED:
            await self.send([Frame("token", {"expires_at": clock.now()})])
        if code == RESTART:
            wait_ms = int(random.random() * SPREAD_S * 1000)
            await self._part(b"retry: %d\n\n" % wait_ms)
        self.ended.set()

    def beat(self) -> None:
        """Sends a comment, so that no proxy takes the stream for dead."""
        task = asyncio.ensure_future(self._part(b":\n\n"))
        task.add_done_callback(_consume)

    def cut(self) -> None:
        """Ends the stream."""
        self.ended.set()

    async def _part(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": True})


class PollOut:
    """Gathers frames for one response."""

    __slots__ = ("changed", "frames")

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.changed = asyncio.Event()

    def write(self, frames: Sequence[Frame]) -> bool:
        """Takes frames."""
        self.frames.extend(frames)
        self.changed.set()
        return True

    async def send(self, frames: Sequence[Frame]) -> None:
        """Takes frames."""
        self.write(frames)

    async def close(self, code: int, reason: str) -> None:
        """Ends the wait."""
        self.changed.set()

    def beat(self) -> None:
        """Does nothing: a poll is short."""

    def cut(self) -> None:
        """Ends the wait."""
        self.changed.set()

    @property
    def has_events(self) -> bool:
        """Whether something happened."""
        return any(frame.type in ("notification", "change", "resync") for frame in self.frames)


class Streams:
    """Serves the two paths."""

    def __init__(self, center: Center, complete: Complete) -> None:
        self._center = center
        self._complete = complete

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a GET of one of PATHS."""
        path = scope["path"].removesuffix("/")
        gone = asyncio.ensure_future(_hang_up(receive))
        try:
            query = _query(scope, path)
            token = await self._token(scope, query)
            if path == STREAM_PATH:
                await self._stream(scope, send, gone, token, query)
            else:
                response = await self._poll(gone, token, query)
                await self._respond(scope, send, response)
        except TooMany:
            error = Throttled("too many connections of this person are open", retry_after=_RETRY_S)
            await self._respond(scope, send, problem_response(error, path=path))
        except CarillonError as error:
            await self._respond(scope, send, problem_response(error, path=path))
        except Gone:
            return
        finally:
            gone.cancel()

    async def _token(self, scope: Scope, query: dict[str, str]) -> SocketToken:
        if self._center.is_closing:
            raise Overloaded
        if "ticket" in query:
            return await self._center.tokens.find(query["ticket"], is_ticket=True)
        given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        scheme, _, text = given.partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            raise Unauthenticated
        return await self._center.tokens.find(text.strip())

    async def _stream(
        self,
        scope: Scope,
        send: Send,
        gone: asyncio.Future[None],
        token: SocketToken,
        query: dict[str, str],
    ) -> None:
        last = dict(scope["headers"]).get(b"last-event-id", b"").decode("latin-1")
        out = StreamOut(send)
        response = HttpResponse(content_type="text/event-stream; charset=utf-8")
        response["Cache-Control"] = "no-store"
        response["X-Accel-Buffering"] = "no"
        status, headers, _ = self._complete(scope, response)
        headers = [pair for pair in headers if pair[0] != b"content-length"]
        place = read_place(last or query.get("after", ""))
        member = self._center.enter(token, out, place, transport="stream")
        try:
            await send({"type": "http.response.start", "status": status, "headers": headers})
            ended = asyncio.ensure_future(out.ended.wait())
            ends: set[asyncio.Future[Any]] = {gone, ended}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
        finally:
            self._center.hub.leave(member)
        if not gone.done():
            await send({"type": "http.response.body", "body": b""})

    async def _poll(
        self, gone: asyncio.Future[None], token: SocketToken, query: dict[str, str]
    ) -> HttpResponse:
        wait_s = _wait(query.get("wait", str(LONGEST_WAIT_S)))
        out = PollOut()
        place = read_place(query.get("after", ""))
        member = self._center.enter(token, out, place, transport="poll")
        try:
            await _until(out.changed, gone, FIRST_S)
            if not out.frames and not member.closed:
                raise Unavailable
            loop = asyncio.get_running_loop()
            until = loop.time() + wait_s
            while not (out.has_events or member.closed) and loop.time() < until:
                out.changed.clear()
                await _until(out.changed, gone, until - loop.time())
        finally:
            self._center.hub.leave(member)
        if member.closed == TOKEN_ENDED:
            raise Unauthenticated("the token has ended: get a new one", code="expired_token")
        if not out.frames:
            raise Overloaded
        return JsonResponse(answer_of(out.frames), 200)

    async def _respond(self, scope: Scope, send: Send, response: HttpResponse) -> None:
        status, headers, body = self._complete(scope, response)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def answer_of(frames: Sequence[Frame]) -> bytes:
    """Returns the body of a poll's response."""
    places = [frame for frame in frames if frame.type in ("unread", "resync")]
    last = msgspec.json.decode(places[-1].data)
    if any(frame.type == "resync" for frame in frames):
        return msgspec.json.encode({"resync": True, "epoch": last["epoch"], "seq": last["seq"]})
    events = [frame for frame in frames if frame.type in ("notification", "change")]
    return msgspec.json.encode(
        {
            "events": msgspec.Raw(events_of(events)),
            "epoch": last["epoch"],
            "seq": last["seq"],
            "unread": last["count"],
        }
    )


def events_as_sse(frames: Sequence[Frame]) -> list[bytes]:
    """Returns a group of frames as server-sent events, with the positions as their ids."""
    ends = [frame for frame in frames if frame.type == "unread"]
    end: dict[str, Any] = {"epoch": "", "seq": 0}
    if ends:
        end = msgspec.json.decode(ends[-1].data)
    epoch = end["epoch"].encode()
    parts: list[bytes] = []
    for frame in frames:
        seq = end["seq"] if frame.type == "unread" else frame.seq
        if ends and seq:
            parts.append(b"id: %s.%d\n" % (epoch, seq))
        parts.append(b"event: %s\ndata: %s\n\n" % (frame.type.encode(), frame.data))
    return parts


def _query(scope: Scope, path: str) -> dict[str, str]:
    """Raises: InvalidRequest: there are other parameters, or one twice."""
    text = scope["query_string"].decode("latin-1")
    known = _KNOWN[path]
    try:
        found = parse_qs(text[:_LONGEST_QUERY], max_num_fields=20, keep_blank_values=True)
    except ValueError as error:
        raise InvalidRequest([FieldError("", "too_many", "too many parameters")]) from error
    for name, values in found.items():
        if name not in known:
            detail = f"is not a parameter here; known: {', '.join(known)}"
            raise InvalidRequest([FieldError(name[:100], "unknown_parameter", detail)])
        if len(values) > 1:
            raise InvalidRequest([FieldError(name, "repeated_parameter", "is given twice")])
    return {name: values[0] for name, values in found.items()}


def _wait(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 4 and int(text) <= LONGEST_WAIT_S):
        detail = f"must be a whole number of seconds from 0 to {LONGEST_WAIT_S}"
        raise InvalidRequest([FieldError("wait", "number_out_of_range", detail)])
    return int(text)


async def _until(changed: asyncio.Event, gone: asyncio.Future[None], seconds: float) -> None:
    """Waits for a change, at most for some seconds.

    Raises:
        Gone: the client left meanwhile.
    """
    waiting = asyncio.ensure_future(changed.wait())
    ends: set[asyncio.Future[Any]] = {gone, waiting}
    try:
        await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if gone.done():
        raise Gone


def _consume(task: asyncio.Future[None]) -> None:
    if not task.cancelled():
        task.exception()


async def _hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
