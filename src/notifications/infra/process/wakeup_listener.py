"""Receives wake-ups for a worker: those of its own process, and datagrams on a local socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Callable

from notifications.infra.process import wakeups


class WakeupListener:
    """Calls back for every lane that is woken.

    Args:
        loop: the loop that reads the socket.
        from_thread: called from any thread of this process.
        from_socket: called in the loop.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        from_thread: Callable[[str], None],
        from_socket: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._from_thread = from_thread
        self._from_socket = from_socket
        self._receiver: socket.socket | None = None

    def start(self) -> None:
        """Begins to listen. Without a socket, the worker relies on polling."""
        wakeups.add_listener(self._from_thread)
        self._receiver = wakeups.listening_socket(f"{os.getpid()}-{secrets.token_hex(3)}")
        if self._receiver is not None:
            self._loop.add_reader(self._receiver, self._read, self._receiver)

    def stop(self) -> None:
        """Stops listening."""
        wakeups.remove_listener(self._from_thread)
        if self._receiver is not None:
            self._loop.remove_reader(self._receiver)
            path = self._receiver.getsockname()
            self._receiver.close()
            with contextlib.suppress(OSError):
                os.unlink(path)

    def _read(self, receiver: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._from_socket(receiver.recv(64).decode(errors="replace"))
