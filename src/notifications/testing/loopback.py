"""The base of the loopback servers: a port, connections that `stop` closes, and a thread."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
            self._server.close()
            for transport in list(self._connections):
                transport.abort()
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
        loop = asyncio.new_event_loop()
        ready = threading.Event()

        async def serve() -> None:
            await self.start()
            ready.set()

        def run() -> None:
            asyncio.set_event_loop(loop)
            loop.run_until_complete(serve())
            loop.run_forever()
            loop.run_until_complete(self.stop())
            loop.close()

        thread = threading.Thread(target=run, name=type(self).__name__, daemon=True)
        thread.start()
        if not ready.wait(10):
            raise RuntimeError("the sink did not start within 10 s")
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)


def reset(transport: asyncio.Transport) -> None:
    """Ends a connection with RST instead of FIN: the other side gets `connection reset`."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
