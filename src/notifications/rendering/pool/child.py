"""One render process as its parent sees it: started, asked, killed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import structlog

from notifications.rendering.pool import wire
from notifications.rendering.pool.walls import Walls

log = structlog.get_logger("carillon.rendering")
MODULE = "notifications.rendering.pool.process"
START_SECONDS = 20.0
KNOWN_BYTES = 32 * 2**20
"""Bytes of versions after which a process is replaced: it keeps all that it was given."""
_ROOT = str(Path(__file__).resolve().parents[3])
_READ_BYTES = 256 * 1024
_REAP_SECONDS = 2.0
_GUILTY = frozenset(
    {Walls.out_of_time, signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL}
)
"""Signals that what was being rendered brings about: its CPU time, its memory, its stack."""
_living: weakref.WeakSet[RenderProcess] = weakref.WeakSet()


class Died(Exception):
    """The process ended before it answered. is_guilty: because of what it was rendering.

    has_left: it ended by itself, as it may between jobs, and nobody is to blame.
    """

    def __init__(self, returncode: int | None) -> None:
        super().__init__(f"the render process ended with {returncode}")
        self.is_guilty = returncode is not None and -returncode in _GUILTY
        self.has_left = returncode == 0


class TooSlow(Exception):
    """The process did not answer in time, and was killed."""


class RenderProcess:
    """A render process. One thread at a time may use it."""

    def __init__(self, *, idle_seconds: float = 0.0) -> None:
        """Starts the process without waiting for it. idle_seconds: it ends after so many without
        work; 0: never by itself."""
        ours, theirs = socket.socketpair()
        self._socket = ours
        self._buffer = bytearray()
        self._is_ready = False
        self._known: set[bytes] = set()
        self._known_bytes = 0
        self.is_dead = False
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-s", "-P", "-m", MODULE, str(idle_seconds)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env={"PYTHONPATH": _ROOT, "LANG": "C.UTF-8", **_warm()},
                cwd="/",
                start_new_session=True,  # a terminal's Ctrl-C is for the parent, who drains
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self.pid = self._process.pid
        _living.add(self)

    @property
    def is_worn(self) -> bool:
        """Whether another should take its place."""
        return self.is_dead or self._known_bytes > KNOWN_BYTES

    def started(self) -> float:
        """Waits until the process has started; answers for how long (s).

        Raises:
            Died: it ended before.
            TooSlow: it took too long.
        """
        if self._is_ready:
            return 0.0
        began = time.monotonic()
        try:
            self._fill(began + START_SECONDS, 1)
        except TimeoutError:
            self.kill()
            raise TooSlow from None
        except ConnectionResetError:
            raise self._died() from None
        del self._buffer[:1]
        self._is_ready = True
        return time.monotonic() - began

    def ask(
        self,
        jobs: list[wire.Job],
        versions: Mapping[bytes, wire.VersionText],
        *,
        now: datetime,
        seconds: float,
    ) -> Iterator[wire.Reply]:
        """The answers to jobs, one by one as they come. seconds: how long each may take.

        Raises:
            Died: the process ended while it was at the job whose answer is next.
            TooSlow: the next answer did not come in time.
        """
        new = {name: text for name, text in versions.items() if name not in self._known}
        frame = wire.framed(wire.Request(now, new, jobs))
        try:
            self._socket.settimeout(seconds)
            self._socket.sendall(frame)
            self._known.update(new)
            self._known_bytes += sum(map(_size, new.values()))
            for _ in jobs:
                yield wire.decode_reply(self._receive(time.monotonic() + seconds))
        except (BrokenPipeError, ConnectionResetError):
            raise self._died() from None
        except TimeoutError:
            self.kill()
            raise TooSlow from None
        except GeneratorExit:
            self.kill()  # answers that nobody took would be taken for those to the next request
            raise

    def kill(self) -> None:
        """Ends the process at once."""
        self.is_dead = True
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self.close()

    def close(self) -> None:
        """Lets the process end, and waits for it."""
        self.is_dead = True
        _living.discard(self)
        self._socket.close()
        try:
            self._process.wait(_REAP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def forget(self) -> None:
        """In a forked child: the process is the parent's."""
        self.is_dead = True
        self._socket.close()
        self._process.returncode = 0

    def _receive(self, until: float) -> bytes:
        self._fill(until, wire.LENGTH_BYTES)
        length = int.from_bytes(self._buffer[: wire.LENGTH_BYTES], "little")
        end = wire.LENGTH_BYTES + length
        self._fill(until, end)
        frame = bytes(memoryview(self._buffer)[wire.LENGTH_BYTES : end])
        del self._buffer[:end]
        return frame

    def _fill(self, until: float, size: int) -> None:
        """Reads until so many bytes are there."""
        while len(self._buffer) < size:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            chunk = self._socket.recv(_READ_BYTES)
            if not chunk:
                raise self._died()
            self._buffer += chunk

    def _died(self) -> Died:
        self.is_dead = True
        try:
            code = self._process.wait(_REAP_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        self.kill()
        if code:
            log.warning("render.process-died", pid=self.pid, returncode=code)
        return Died(code)


def _size(text: wire.VersionText) -> int:
    return sum(len(each) for texts in text.content.values() for each in texts.values())


def _warm() -> dict[str, str]:
    """Where this process keeps compiled modules, if not beside them: for a quicker start."""
    prefix = sys.pycache_prefix
    return {"PYTHONPYCACHEPREFIX": prefix} if prefix else {}


def _forget_all() -> None:
    for process in list(_living):
        process.forget()
    _living.clear()


os.register_at_fork(after_in_child=_forget_all)
