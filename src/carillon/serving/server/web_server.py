"""uvicorn with a graceful end: no client is refused, and no connection is cut."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import Callable
from typing import Any

import uvicorn

from carillon.serving.server.http_bounds import Bounds, bounded
from carillon.serving.server.sockets import SocketProtocol
from carillon.settings.environment import Environment

_DRAIN_S = 30
# Our log has what is needed. No header names a component to look weaknesses up by.
_QUIET: dict[str, Any] = {"log_config": None, "access_log": False, "server_header": False}
_IDLE_S = 0.25
"""Seconds in which an idle connection may still send a request; the response then closes it."""
_FRESH_S = 2.0
"""Seconds in which a new connection may send its first request: its client is about to."""
_CHECK_S = 0.02
_OPEN_FILES = 1_048_576
_TICK_S = 1.0
"""Seconds between two dates in the headers of responses."""


def server_config(application: Any, settings: Environment) -> uvicorn.Config:
    """Returns how uvicorn serves the application, with the bounds of the settings."""
    bounds = Bounds(
        head_s=settings.header_timeout_seconds,
        body_s=settings.body_timeout_seconds,
        connections=settings.max_connections,
        max_header_bytes=settings.max_header_bytes,
        max_headers=settings.max_headers,
    )
    heartbeat_s = settings.realtime_heartbeat_seconds
    return uvicorn.Config(
        application,
        http=bounded(bounds),
        ws=SocketProtocol,
        ws_max_size=settings.realtime_max_frame_bytes,
        ws_per_message_deflate=False,  # it costs 100 KB a socket, and lengths reveal contents
        ws_ping_interval=heartbeat_s,
        ws_ping_timeout=settings.realtime_idle_seconds - heartbeat_s,
        timeout_keep_alive=settings.keep_alive_seconds,  # type: ignore[arg-type]  # seconds
        **_QUIET,
        proxy_headers=False,  # CARILLON_TRUSTED_PROXIES decides which headers are trusted
        lifespan="off",
        timeout_graceful_shutdown=_DRAIN_S,
    )


class WebServer(uvicorn.Server):
    """A uvicorn server that drains its connections."""

    def __init__(
        self, config: uvicorn.Config, *, begun: Callable[[], None], closing: Callable[[], None]
    ) -> None:
        """begun: called when connections are accepted. closing: called before that ends."""
        self._exits = False
        self._exiting = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        super().__init__(config)
        self._begun = begun
        self._closing = closing

    @property
    def should_exit(self) -> bool:
        """Whether the server is to drain and end. May be set from a signal handler."""
        return self._exits

    @should_exit.setter
    def should_exit(self, exits: bool) -> None:
        self._exits = exits
        loop = self._loop
        if exits and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._exiting.set)

    async def main_loop(self) -> None:
        """Waits until the server must exit. uvicorn's own loop wakes ten times a second."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):  # sets the date header
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S):
                    await self._exiting.wait()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to accept connections."""
        await super().startup(sockets)
        self._begun()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops accepting, lets idle connections send a last request, then drains."""
        self._closing()
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        await self._close_idle()
        await super().shutdown(sockets)

    async def _close_idle(self) -> None:
        """Closes connections without a running request, each after its time."""
        loop = asyncio.get_running_loop()
        began, seconds = loop.time(), 0.0
        while not self.force_exit and seconds < _FRESH_S + _IDLE_S:
            seconds = loop.time() - began
            idle = [each for each in self.server_state.connections if not _is_busy(each)]
            if not idle:
                return
            for connection in idle:
                if seconds > (_FRESH_S if _is_fresh(connection) else _IDLE_S):
                    connection.shutdown()
            await asyncio.sleep(_CHECK_S)


def raise_open_files() -> None:
    """Raises the limit of open files as far as the system allows: each socket is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # some systems allow less than they say
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _is_fresh(connection: Any) -> bool:
    """Returns whether no request has arrived yet. A websocket has no cycle and counts as busy."""
    return getattr(connection, "cycle", connection) is None


def _is_busy(connection: Any) -> bool:
    cycle = getattr(connection, "cycle", connection)
    return cycle is not None and not getattr(cycle, "response_complete", False)
