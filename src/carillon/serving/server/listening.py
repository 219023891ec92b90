"""Provides the listening socket of a web process, which outlives it: a restart refuses no client.

The socket comes from a holder that lives longer than the process: the supervisor
(`carillon serve`), systemd's socket activation, or the web process that is being replaced. That
process passes the socket with its queue of connections that are not accepted yet. Without a holder
a new socket is opened.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import structlog

log = structlog.get_logger("carillon.web")
INHERITED = "CARILLON_LISTEN_FD"
_SYSTEMD_FD = 3  # sd_listen_fds(3)
_BACKLOG = 2048
_HANDOFF_S = 2.0
_PEER = struct.Struct("3i")  # pid, uid, gid: SO_PEERCRED of unix(7)


def listening_socket(host: str, port: int, folder: Path) -> socket.socket:
    """Returns a listening socket, passed on or new.

    folder: where the web processes of this installation store their handoff sockets.

    Raises:
        OSError: the address is used by another program, not allowed, or not this machine's.
    """
    found = _inherited() or _from_systemd()
    if found is not None:
        return found
    try:
        return new_socket(host, port)
    except OSError as error:
        try:
            return _received(place_of(host, port, folder))
        except OSError:
            raise error from None


def new_socket(host: str, port: int) -> socket.socket:
    """Returns a new listening socket.

    Raises:
        OSError: as listening_socket.
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return socket.create_server(address[:2], family=family, backlog=_BACKLOG)


def place_of(host: str, port: int, folder: Path) -> Path:
    """Returns the path of the handoff socket of the process that listens at an address."""
    return folder / f"web-{host.replace('/', '_')}-{port}.sock"


def _inherited() -> socket.socket | None:
    number = os.environ.pop(INHERITED, "")
    return socket.socket(fileno=int(number)) if number else None


def _from_systemd() -> socket.socket | None:
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        return None
    return socket.socket(fileno=_SYSTEMD_FD)


def _received(place: Path) -> socket.socket:
    with socket.socket(socket.AF_UNIX) as peer, _short(place) as name:
        peer.settimeout(_HANDOFF_S)
        peer.connect(name)
        _, numbers, _, _ = socket.recv_fds(peer, 1, 1)
    if not numbers:
        raise ConnectionRefusedError("no socket was received")
    listener = socket.socket(fileno=numbers[0])
    listener.set_inheritable(False)
    log.info("web.shares-socket", with_whom="the process that listens there; end it when ready")
    return listener


class SocketHandoff:
    """Passes the listening socket to the process that replaces this one, on its request.

    Only processes of the same user or of root receive it. If the folder cannot be written, or the
    system has no such sockets, the next process finds the port in use.
    """

    def __init__(self, listener: socket.socket, place: Path) -> None:
        self._listener = listener.dup()
        self._place = place
        self._server = socket.socket(socket.AF_UNIX)
        self._inode = 0

    def start(self) -> None:
        """Begins to serve handoffs, in place of the process that served them before."""
        try:
            self._bind_place()
        except OSError as error:
            log.warning("web.no-handover", error=str(error))
            return
        threading.Thread(target=self._run, name="handover", daemon=True).start()

    def _bind_place(self) -> None:
        draft = self._place.with_name(f"{self._place.name}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        with _short(draft) as name:
            self._server.bind(name)
        draft.chmod(0o600)
        self._server.listen(4)
        self._inode = draft.stat().st_ino
        draft.replace(self._place)

    def stop(self) -> None:
        """Stops handoffs. Leaves the path to a process that replaced it meanwhile."""
        with contextlib.suppress(OSError):
            if self._place.stat().st_ino == self._inode:
                self._place.unlink()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)  # wakes the thread, which a close would not
        self._server.close()
        self._listener.close()

    def _run(self) -> None:
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return  # `stop` closed the socket
            with peer, contextlib.suppress(OSError):
                peer.settimeout(_HANDOFF_S)
                if _user_of(peer) in (0, os.getuid()):
                    socket.send_fds(peer, [b"."], [self._listener.fileno()])
                    log.info("web.handed-over")


def _user_of(peer: socket.socket) -> int:
    raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    uid: int = _PEER.unpack(raw)[1]
    return uid


@contextlib.contextmanager
def _short(place: Path) -> Iterator[str]:
    """Yields a name of the file that fits into a socket address, which has 107 characters."""
    folder = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{place.name}"
    finally:
        os.close(folder)
