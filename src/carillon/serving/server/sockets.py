"""uvicorn's protocol of websockets, with our close codes and a way to write at once.

Its own way to write is a coroutine for each frame. The hub writes a group of frames, which are
encoded already, to thousands of sockets: here that is one call for each socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode
from websockets.protocol import State
from websockets.server import ServerProtocol

from carillon.serving.server.collecting import FROZEN
from carillon.serving.server.held import Held
from notifications.realtime.consumers import DIRECT

IDLE, TOO_LARGE, MALFORMED = 4408, 4413, 4400
_CODES = {
    CloseCode.MESSAGE_TOO_BIG: TOO_LARGE,
    CloseCode.INVALID_DATA: MALFORMED,
    CloseCode.PROTOCOL_ERROR: MALFORMED,
}
CLOSE_S = 5.0


class _Protocol(ServerProtocol):
    """Fails a connection with the documented codes."""

    def fail(self, code: int, reason: str = "") -> None:
        """Closes the connection because of what the client sent."""
        super().fail(_CODES.get(CloseCode(code), code) if code < 3000 else code, reason)


class SocketProtocol(WebSocketsSansIOProtocol):
    """A websocket, which the hub may write to directly."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.conn = _Protocol(max_size=self.config.ws_max_size, logger=self.logger)
        self.close_timeout = CLOSE_S

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins the connection."""
        Held.count += 1
        super().connection_made(transport)
        FROZEN.note(Held.count)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the connection."""
        Held.count -= 1
        super().connection_lost(exc)
        FROZEN.note(Held.count)

    def handle_connect(self, event: Any) -> None:
        """Begins the application, with this protocol as an extension of its scope."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[DIRECT] = self

    def forget_handshake(self) -> None:
        """Frees what only the handshake needed: some KB of headers, with the token."""
        del self.request, self.response
        self.scope["headers"] = []
        self.scope["query_string"] = b""
        self.scope["subprotocols"] = []

    def write_frames(self, parts: Sequence[bytes]) -> bool:
        """Writes whole frames; False where the client reads slowly or has left."""
        if self.disconnected or self.close_sent or not self.writable.is_set():
            return False
        if self.conn.state is not State.OPEN or not self.handshake_complete:
            return False
        self.transport.write(b"".join(parts))
        return True

    def cut(self) -> None:
        """Ends the connection at once."""
        self.transport.abort()

    def shutdown(self) -> None:
        """Lets the hub close the socket, because it knows when the client may come back."""
        if not self.handshake_complete or self.close_sent:
            super().shutdown()
            return
        self.stop_keepalive()
        self.loop.call_later(CLOSE_S, self.transport.abort)

    def keepalive_timeout(self) -> None:
        """Closes a socket that answered no ping."""
        self.pong_timer = None
        self.pending_ping_payload = None
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.fail(IDLE, "idle")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()
        self.loop.call_later(CLOSE_S, self.transport.abort)  # its buffer may never drain
