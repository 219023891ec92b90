"""One render process as its parent sees it: start, run jobs, kill."""

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
from notifications.rendering.pool.process_limits import ProcessLimits

log = structlog.get_logger("carillon.rendering")
MODULE = "notifications.rendering.pool.process"
START_SECONDS = 20.0
KNOWN_BYTES = 32 * 2**20
"""Bytes of versions after which a process is replaced: it stores every version it received."""
_ROOT = str(Path(__file__).resolve().parents[3])
_READ_BYTES = 256 * 1024
_REAP_SECONDS = 2.0
_GUILTY = frozenset(
    {ProcessLimits.out_of_time, signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL}
)
"""Signals that a render causes by its CPU time, memory or stack."""
_living: weakref.WeakSet[RenderProcess] = weakref.WeakSet()


class Died(Exception):
    """The process ended before it replied."""

    def __init__(self, returncode: int | None) -> None:
        super().__init__(f"the render process ended with {returncode}")
        #: Whether the text that was being rendered caused the end.
        self.is_guilty = returncode is not None and -returncode in _GUILTY
        #: Whether the process ended by itself, as it may between jobs; no text is to blame.
        self.has_left = returncode == 0


class TooSlow(Exception):
    """The process did not reply in time and was killed."""


class RenderProcess:
    """A render process. One thread at a time may use it."""

    def __init__(self, *, idle_seconds: float = 0.0) -> None:
        """Starts the process without waiting for it.

        It ends itself after idle_seconds without work; 0: never.
        """
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
                start_new_session=True,  # a terminal's Ctrl-C is for the parent, which drains
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
        """Whether another process should replace this one."""
        return self.is_dead or self._known_bytes > KNOWN_BYTES

    def wait_started(self) -> float:
        """Waits until the process has started; returns the time it waited (s).

        Raises:
            Died: the process ended before.
            TooSlow: the start took too long.
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

    def run_jobs(
        self,
        jobs: list[wire.Job],
        versions: Mapping[bytes, wire.VersionText],
        *,
        now: datetime,
        seconds: float,
    ) -> Iterator[wire.Reply]:
        """Yields the replies to jobs as they arrive. Each job may take so many seconds.

        Raises:
            Died: the process ended during the job whose reply is next.
            TooSlow: the next reply did not arrive in time.
        """
        new = {name: text for name, text in versions.items() if name not in self._known}
        frame = wire.framed(wire.JobRequest(now, new, jobs))
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
            self.kill()  # replies left unread would be read as those of the next request
            raise

    def kill(self) -> None:
        """Ends the process at once."""
        self.is_dead = True
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self.close()

    def close(self) -> None:
        """Closes the connection, by which the process ends, and waits for its end."""
        self.is_dead = True
        _living.discard(self)
        self._socket.close()
        try:
            self._process.wait(_REAP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def forget(self) -> None:
        """Drops the process in a forked child: it belongs to the parent."""
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
        """Reads until the buffer holds `size` bytes."""
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
    """Returns the variable of this process's bytecode cache, if any, for a quicker start."""
    prefix = sys.pycache_prefix
    return {"PYTHONPYCACHEPREFIX": prefix} if prefix else {}


def _forget_all() -> None:
    for process in list(_living):
        process.forget()
    _living.clear()


os.register_at_fork(after_in_child=_forget_all)
