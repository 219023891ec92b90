"""A cable between a process and its PostgreSQL that a test may pull, freeze, or cut at a commit."""

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


class Cable:
    """Forwards from a port on loopback to PostgreSQL's own socket.

    frozen: nothing is forwarded, and every connection stays open, as when a host hangs.
    away: connections are refused and those there are cut, as when a server is stopped.
    cut_at: the answer to the next message that holds these bytes is dropped, and its connection
    cut once the server has answered: what was asked is done. With lose_at the server never sees
    the message. then_away: and from then on the server is away.
    """

    def __init__(self, server: PostgresServer, *, database: str = "postgres") -> None:
        self._target = str(server.folder / "data" / ".s.PGSQL.5432")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"postgres://postgres:@127.0.0.1:{self.port}/{database}"
        self._flow = threading.Event()
        self._flow.set()
        self._away = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.cut_at = self.lose_at = b""
        self.then_away = False

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

    def thaw(self) -> None:
        self._flow.set()

    def go_away(self) -> None:
        self._away.set()
        self.cut()

    def come_back(self) -> None:
        self._away.clear()
        self.cut_at = self.lose_at = b""
        self.then_away = False

    def cut(self) -> None:
        """Ends every connection there is."""
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
            if self._away.is_set():
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
            with self._lock:
                self._open |= {client, server}
            pair = _Pair(self, client, server)
            threading.Thread(target=pair.forward, daemon=True).start()
            threading.Thread(target=pair.answer, daemon=True).start()

    def wait_for_flow(self) -> None:
        self._flow.wait()

    def fate_of(self, sent: bytes) -> str:
        """What becomes of a message: cut, lose, or nothing special."""
        with self._lock:
            for fate, marked in (("cut", self.cut_at), ("lose", self.lose_at)):
                if marked and marked in sent:
                    self.cut_at = self.lose_at = b""
                    return fate
        return ""

    def after_fate(self) -> None:
        if self.then_away:
            self.then_away = False
            self.go_away()

    def forget(self, *ends: socket.socket) -> None:
        with self._lock:
            self._open -= set(ends)
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class _Pair:
    """One connection's two directions."""

    def __init__(self, cable: Cable, client: socket.socket, server: socket.socket) -> None:
        self._cable, self._client, self._server = cable, client, server
        self._drops_answers = False

    def forward(self) -> None:
        with contextlib.suppress(OSError):
            while sent := self._client.recv(_AT_ONCE):
                self._cable.wait_for_flow()
                fate = self._cable.fate_of(sent)
                if fate == "lose":
                    self._cable.after_fate()
                    break
                self._drops_answers = self._drops_answers or fate == "cut"
                self._server.sendall(sent)
        self._cable.forget(self._client, self._server)

    def answer(self) -> None:
        with contextlib.suppress(OSError):
            while said := self._server.recv(_AT_ONCE):
                self._cable.wait_for_flow()
                if self._drops_answers:
                    self._cable.after_fate()
                    break
                self._client.sendall(said)
        self._cable.forget(self._client, self._server)
