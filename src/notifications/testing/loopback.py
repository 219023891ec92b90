"""The base of the loopback servers: a port, connections that `stop` closes, and a thread."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from enum import Enum
from typing import Self

HOST = "127.0.0.1"


class Act(Enum):
    """What a server does instead of responding."""

    DROP = "close the connection"
    RESET = "reset the connection"
    HANG = "say nothing"


class Sink:
    """A server on a free loopback port. Call `start` and `stop`, or use `run_in_thread`."""

    def __init__(self) -> None:
        self.host = HOST
        self.port = 0
        self.count = 0
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Transport] = set()

    def connection(self) -> asyncio.Protocol:
        """Returns a protocol for a new connection."""
        raise NotImplementedError

    async def start(self) -> Self:
        """Listens on a free port, and on the same port again after a stop."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self.connection, self.host, self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Closes the port and every connection; later connections are refused."""
        if self._server is not None:
            await close_server(self._server)
            for transport in list(self._connections):
                transport.abort()
            await settle()
            await self._server.wait_closed()
            self._server = None

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def add(self, transport: asyncio.BaseTransport) -> asyncio.Transport:
        """Registers a connection, so that `stop` can close it."""
        assert isinstance(transport, asyncio.Transport)
        self._connections.add(transport)
        return transport

    def remove(self, transport: asyncio.Transport) -> None:
        self._connections.discard(transport)

    @contextmanager
    def run_in_thread(self) -> Iterator[Self]:
        """Runs the server in a thread with its own event loop, for the duration of the block."""
        with run_loop_in_thread(self, type(self).__name__):
            yield self


@contextmanager
def run_loop_in_thread(server: AbstractAsyncContextManager[object], name: str) -> Iterator[None]:
    """Enters `server` on the event loop of a new thread, and leaves it after the block.

    Raises RuntimeError if the server does not start within 20 seconds.
    """
    ready = threading.Event()
    shared: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        async with server:
            ended = asyncio.Event()
            shared.append((asyncio.get_running_loop(), ended))
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name=name, daemon=True)
    thread.start()
    if not ready.wait(20):
        raise RuntimeError(f"{name} did not start within 20 s")
    try:
        yield
    finally:
        loop, ended = shared[0]
        loop.call_soon_threadsafe(ended.set)
        thread.join(20)


async def close_server(server: asyncio.Server) -> None:
    """Closes the listening sockets when every accepted connection has its transport.

    asyncio makes the transport in a later turn of the loop than it accepts. In Python 3.11 that
    fails when the server was closed between, and leaves the socket open.
    """
    for listening in server.sockets:
        asyncio.get_running_loop().remove_reader(listening)
    await settle()
    server.close()


async def settle() -> None:
    """Lets the loop finish what it began: a closed transport closes its socket in a later turn."""
    for _ in range(5):
        await asyncio.sleep(0)


def reset(transport: asyncio.Transport) -> None:
    """Ends a connection with RST instead of FIN: the other side gets `connection reset`."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
