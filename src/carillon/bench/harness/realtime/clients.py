"""Thousands of websockets in one process: `python -m carillon.bench.harness.realtime.clients`.

It reads commands from stdin, one JSON object a line, and answers each with one. It knows just as
much of the protocol as a client needs, so that it costs little beside what it measures.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import resource
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_ITEM = b'{"type":"notification","data":{"id":"'
_ID = slice(len(_ITEM), len(_ITEM) + 36)
_UNREAD = b'{"type":"unread"'
_PRESENCE = b'{"type":"presence"'
_AT_ONCE = 200
_OPEN_S = 60.0


class Socket(asyncio.Protocol):
    """One client. It notes when it received which notification, and its position."""

    __slots__ = (
        "_buffer", "_is_open", "_transport", "all", "closed", "first", "joined", "token", "where"
    )  # fmt: skip

    def __init__(self, token: str, crowd: Crowd) -> None:
        self.token = token
        self.all = crowd
        self.where = ""
        self.closed = True
        self.first: asyncio.Future[None] | None = None
        self.joined: asyncio.Future[None] | None = None
        self._buffer = b""
        self._is_open = False
        self._transport: asyncio.Transport | None = None

    async def open(self, port: int) -> None:
        """Connects, and waits for the first group."""
        loop = asyncio.get_running_loop()
        self.first, self._buffer, self._is_open = loop.create_future(), b"", False
        await loop.create_connection(lambda: self, "127.0.0.1", port)
        await asyncio.wait_for(self.first, _OPEN_S)

    async def join(self, room: str) -> None:
        """Joins a room, and waits for the answer."""
        self.joined = asyncio.get_running_loop().create_future()
        body = json.dumps({"type": "join_room", "room": room}).encode()
        assert self._transport is not None
        self._transport.write(b"\x81%c\0\0\0\0" % (0x80 | len(body)) + body)
        await asyncio.wait_for(self.joined, _OPEN_S)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self.closed = transport, False
        query = f"token={self.token}" + (f"&after={self.where}" if self.where else "")
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /ws/notifications/?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            "\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._is_open:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head.split(b"\r\n")[0]:
                raise RuntimeError(head.decode())
            self._is_open, self._buffer = True, rest
        while self._take():
            pass

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self.first is not None and not self.first.done():
            self.first.set_exception(ConnectionError("closed before the first group"))

    def cut(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _take(self) -> bool:
        """Takes a frame from the buffer."""
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        size, start = buffer[1], 2
        if size == 126:
            if len(buffer) < 4:
                return False
            (size,), start = struct.unpack_from("!H", buffer, 2), 4
        if len(buffer) < start + size:
            return False
        self._buffer = buffer[start + size :]
        kind = buffer[0] & 0x0F
        if kind == 1:
            self._read(buffer[start : start + size])
        elif kind == 9 and self._transport is not None:
            # A pong with the ping's bytes, under a mask of zeros.
            self._transport.write(b"\x8a%c\0\0\0\0" % (0x80 | size) + buffer[start : start + size])
        return True

    def _read(self, body: bytes) -> None:
        if body.startswith(_ITEM):
            self.all.took(body[_ID].decode())
        elif body.startswith(_PRESENCE):
            if self.joined is not None and not self.joined.done():
                self.joined.set_result(None)
        elif body.startswith(_UNREAD):
            data = json.loads(body)["data"]
            self.where = f"{data['epoch']}.{data['seq']}"
            if self.first is not None and not self.first.done():
                self.first.set_result(None)


class Crowd:
    """All clients of the process."""

    def __init__(self) -> None:
        self.sockets: list[Socket] = []
        self.received: dict[str, float] = {}
        #: Notifications of all sockets: one of a room counts once for each.
        self.deliveries = 0
        self._wanted = 0
        self._enough = asyncio.Event()

    def took(self, public_id: str) -> None:
        """Notes an arrival, by the clock that all processes of the machine share."""
        self.received.setdefault(public_id, time.monotonic())
        self.deliveries += 1
        if self.deliveries >= self._wanted:
            self._enough.set()

    async def open(self, port: int, tokens: str) -> dict[str, Any]:
        """Opens a socket for each line of a file."""
        words = _read(tokens).split()
        self.sockets += [Socket(token, self) for token in words]
        return await self._open_all(port)

    async def reconnect(self, port: int) -> dict[str, Any]:
        """Opens all sockets again, each at its position; waits for its first group."""
        return await self._open_all(port)

    async def join(self, room: str, count: int) -> dict[str, Any]:
        """Joins a room with some of the sockets."""
        await asyncio.gather(*(each.join(room) for each in self.sockets[:count]))
        return {}

    async def forget(self) -> dict[str, Any]:
        """Forgets what was received."""
        self.received.clear()
        self.deliveries = 0
        return {}

    async def wait(self, count: int, seconds: float) -> dict[str, Any]:
        """Waits for so many deliveries."""
        self._wanted = count
        self._enough.clear()
        with contextlib.suppress(TimeoutError):
            if self.deliveries < count:
                await asyncio.wait_for(self._enough.wait(), seconds)
        return {"received": len(self.received), "deliveries": self.deliveries}

    async def report(self, file: str) -> dict[str, Any]:
        """Writes when each notification was received."""
        _write(file, json.dumps(self.received))
        return {}

    async def _open_all(self, port: int) -> dict[str, Any]:
        began = time.monotonic()
        waiting = [each for each in self.sockets if each.closed]
        lock = asyncio.Semaphore(_AT_ONCE)
        failures = 0

        async def one(socket_: Socket) -> None:
            nonlocal failures
            async with lock:
                while True:
                    try:
                        await socket_.open(port)
                    except (OSError, TimeoutError):
                        failures += 1
                        socket_.cut()
                        await asyncio.sleep(0.05)
                    else:
                        return

        await asyncio.gather(*map(one, waiting))
        return {"open_s": time.monotonic() - began, "failures": failures}


def _read(file: str) -> str:
    return Path(file).read_text()


def _write(file: str, text: str) -> None:
    Path(file).write_text(text)


async def main(crowd_class: Callable[[], Crowd]) -> None:
    """Answers commands until stdin ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert soft
    crowd = crowd_class()
    while line := await asyncio.to_thread(sys.stdin.readline):
        name, given = json.loads(line)
        answer = await getattr(crowd, name)(**given)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Crowd))
