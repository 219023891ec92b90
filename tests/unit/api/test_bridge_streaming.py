"""Responses without a length: made part by part in threads, at the pace of the reader."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from carillon.serving.bridge import Bridge, BridgeLimits
from tests.unit.api.test_bridge import LIMIT, scope


class Parts:
    """A WSGI response whose parts are made when they are read."""

    streaming = True

    def __init__(self, parts: list[Any]) -> None:
        self.parts, self.made = parts, 0
        self.threads: list[str] = []
        self.after_part_in: list[str] = []
        self.closed = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Parts:
        start_response("200 OK", [("Content-Type", "text/csv")])
        return self

    def __iter__(self) -> Iterator[bytes]:
        for part in self.parts:
            self.threads.append(threading.current_thread().name.partition("_")[0])
            self.made += 1
            if isinstance(part, Exception):
                raise part
            yield part

    def close(self) -> None:
        self.closed += 1

    def after_part(self) -> None:
        self.after_part_in.append(threading.current_thread().name.partition("_")[0])

    def bridge(self) -> Bridge:
        return Bridge(self, max_body_bytes=LIMIT, after_part=self.after_part)


class Reader:
    """A client that sent its request and may disconnect or stop reading after some parts."""

    def __init__(self, *, leaves_after: int = 99, stalls_after: int = 99) -> None:
        self.sent: list[Any] = []
        self.requested = False
        self.left, self.stalled = asyncio.Event(), asyncio.Event()
        self.leaves_after, self.stalls_after = leaves_after, stalls_after

    async def receive(self) -> dict[str, Any]:
        if not self.requested:
            self.requested = True
            return {"type": "http.request"}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        if len(self.sent) > self.leaves_after:
            self.left.set()
        if len(self.sent) > self.stalls_after:
            self.stalled.set()
            await asyncio.Event().wait()

    @property
    def bodies(self) -> list[tuple[bytes, bool]]:
        return [(each["body"], each.get("more_body", False)) for each in self.sent[1:]]


async def test_a_response_without_a_length_is_sent_part_by_part() -> None:
    parts, reader = Parts([b"a", b"", b"b"]), Reader()

    await parts.bridge()(scope(), reader.receive, reader.send)

    assert reader.sent[0]["headers"] == [(b"content-type", b"text/csv")]
    assert reader.bodies == [(b"a", True), (b"b", True), (b"", False)]
    assert set(parts.threads) == {"parts"}, "threads of requests are free meanwhile"
    assert (parts.after_part_in[0], set(parts.after_part_in[1:-1])) == ("web", {"parts"})
    assert parts.closed == 1


async def test_no_part_is_made_for_a_disconnected_client() -> None:
    parts, reader = Parts([b"x"] * 50), Reader(leaves_after=2)

    await parts.bridge()(scope(), reader.receive, reader.send)

    assert parts.made < 5
    assert parts.closed == 1


async def test_a_client_that_reads_nothing_is_given_up() -> None:
    parts, reader = Parts([b"x"] * 50), Reader(stalls_after=1)
    bridge = Bridge(parts, max_body_bytes=LIMIT, limits=BridgeLimits(reading_limit=0.01))

    with pytest.raises(TimeoutError):
        await bridge(scope(), reader.receive, reader.send)

    assert (parts.made, parts.closed) == (1, 1)


async def test_a_fault_between_parts_cuts_the_response_off() -> None:
    parts, reader = Parts([b"a", RuntimeError("gone")]), Reader()

    with pytest.raises(RuntimeError, match="gone"):
        await parts.bridge()(scope(), reader.receive, reader.send)

    assert reader.bodies == [(b"a", True)], "it does not look like a complete response"
    assert parts.closed == 1


async def test_for_the_headers_alone_nothing_is_made() -> None:
    parts, reader = Parts([b"a"]), Reader()

    await parts.bridge()(scope(method="HEAD"), reader.receive, reader.send)

    assert (reader.bodies, parts.made, parts.closed) == ([(b"", False)], 0, 1)


async def test_a_response_beyond_the_limit_of_streams_is_refused() -> None:
    parts, slow, late = Parts([b"a"]), Reader(stalls_after=0), Reader()
    bridge = Bridge(parts, max_body_bytes=LIMIT, limits=BridgeLimits(streams=1))
    reading = asyncio.ensure_future(bridge(scope(), slow.receive, slow.send))
    await slow.stalled.wait()

    await bridge(scope(), late.receive, late.send)
    assert (late.sent[0]["status"], parts.closed) == (503, 1)

    reading.cancel()
    await asyncio.wait({reading})
    after = Reader()
    await bridge(scope(), after.receive, after.send)
    assert after.sent[0]["status"] == 200, "who ends leaves their place"
