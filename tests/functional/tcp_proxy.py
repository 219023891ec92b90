"""A proxy between a process and its PostgreSQL that a test may pull, freeze, or cut at a commit."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from carillon.servers import PostgresServer

_AT_ONCE = 1 << 16
COMMIT = b"COMMIT\x00"


class TcpProxy:
    """Forwards from a port on loopback to PostgreSQL's own socket.

    freeze: forwards nothing and keeps connections open, as a host that hangs.
    disconnect: cuts all connections and refuses new ones, as a stopped server.
    """

    def __init__(self, server: PostgresServer, *, database: str = "postgres") -> None:
        self._target = str(server.folder / "data" / ".s.PGSQL.5432")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"postgres://postgres:@127.0.0.1:{self.port}/{database}"
        self._flow = threading.Event()
        self._flow.set()
        self._is_disconnected = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        #: cut_at: after the next message with these bytes, the response is dropped and the
        #: connection cut, so the server has done the work. drop_at: the message itself is dropped.
        self.cut_at = self.drop_at = b""
        #: After the cut or drop, the proxy disconnects.
        self.then_disconnect = False

    def __enter__(self) -> Self:
        assert Path(self._target).exists(), self._target
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._flow.set()
        self._listener.close()
        self.cut()

    def freeze(self) -> None:
        self._flow.clear()

    def unfreeze(self) -> None:
        self._flow.set()

    def disconnect(self) -> None:
        self._is_disconnected.set()
        self.cut()

    def reconnect(self) -> None:
        self._is_disconnected.clear()
        self.cut_at = self.drop_at = b""
        self.then_disconnect = False

    def cut(self) -> None:
        """Closes all connections."""
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._is_disconnected.is_set():
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
            with self._lock:
                self._open |= {client, server}
            pair = _Pair(self, client, server)
            threading.Thread(target=pair.forward_requests, daemon=True).start()
            threading.Thread(target=pair.forward_responses, daemon=True).start()

    def wait_for_flow(self) -> None:
        self._flow.wait()

    def action_for(self, sent: bytes) -> str:
        """Returns what to do with a message: cut, drop, or forward (empty)."""
        with self._lock:
            for action, marked in (("cut", self.cut_at), ("drop", self.drop_at)):
                if marked and marked in sent:
                    self.cut_at = self.drop_at = b""
                    return action
        return ""

    def apply_disconnect(self) -> None:
        if self.then_disconnect:
            self.then_disconnect = False
            self.disconnect()

    def close(self, *ends: socket.socket) -> None:
        with self._lock:
            self._open -= set(ends)
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class _Pair:
    """The two directions of one connection."""

    def __init__(self, proxy: TcpProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._drops_responses = False

    def forward_requests(self) -> None:
        with contextlib.suppress(OSError):
            while sent := self._client.recv(_AT_ONCE):
                self._proxy.wait_for_flow()
                action = self._proxy.action_for(sent)
                if action == "drop":
                    self._proxy.apply_disconnect()
                    break
                self._drops_responses = self._drops_responses or action == "cut"
                self._server.sendall(sent)
        self._proxy.close(self._client, self._server)

    def forward_responses(self) -> None:
        with contextlib.suppress(OSError):
            while received := self._server.recv(_AT_ONCE):
                self._proxy.wait_for_flow()
                if self._drops_responses:
                    self._proxy.apply_disconnect()
                    break
                self._client.sendall(received)
        self._proxy.close(self._client, self._server)
