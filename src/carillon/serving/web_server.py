"""uvicorn, ending so that no client notices: nobody is refused, and no connection is cut."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import uvicorn

_IDLE_S = 0.25
"""For so long an idle connection may still bring a request; its answer asks to close it."""
_FRESH_S = 2.0
"""For so long a connection may be without its first request: who connects means to ask."""
_CHECK_S = 0.02


class WebServer(uvicorn.Server):
    """begun: called once connections are accepted. closing: called before they no longer are."""

    def __init__(
        self, config: uvicorn.Config, *, begun: Callable[[], None], closing: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._begun = begun
        self._closing = closing

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to accept."""
        await super().startup(sockets)
        self._begun()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops accepting, lets idle connections bring what is on its way, then drains."""
        self._closing()
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        await self._close_idle()
        await super().shutdown(sockets)

    async def _close_idle(self) -> None:
        """Closes connections without a request in hand, each after its time."""
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


def _is_fresh(connection: Any) -> bool:
    """Whether no request has come yet. A websocket's connection has none, and is busy."""
    return getattr(connection, "cycle", connection) is None


def _is_busy(connection: Any) -> bool:
    cycle = getattr(connection, "cycle", connection)
    return cycle is not None and not getattr(cycle, "response_complete", False)
