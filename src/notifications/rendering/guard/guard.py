"""Guards renders: counts overruns, refuses stopped versions, informs the watchdog."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import structlog
from django.conf import settings

from notifications.domain.errors import LimitExceeded, TemplateFault
from notifications.infra.database.clock_bridge import database_now
from notifications.models.content.template_stop import TemplateOverrun
from notifications.rendering.guard import note
from notifications.rendering.guard.board import (
    ASLEEP,
    BUSY,
    SEQUENCE,
    THREAD,
    VERSION,
    Board,
    new_file,
)
from notifications.rendering.guard.dispatch_gate import DISPATCH_GATE
from notifications.rendering.guard.interrupt import CPU_SECONDS, Interrupter
from notifications.rendering.language.meter import LIMIT
from notifications.rendering.render import CompiledVersion
from notifications.rendering.versions import refresh_proof

log = structlog.get_logger("carillon.rendering")
T = TypeVar("T")
KILL_AFTER_SECONDS = 1.0
"""CPU time beyond the interrupt's limit after which the watchdog kills the worker."""
_MODULE = "notifications.rendering.guard.process"
_ROOT = str(Path(__file__).resolve().parents[3])


class VersionStopped(Exception):
    """The version was stopped while its slice was rendered."""

    def __init__(self, by: str) -> None:
        super().__init__(by)
        #: The stop, as `scope:value`.
        self.by = by


class Guard:
    """Guards the renders of a process.

    Only the thread that renders slices is watched, and only after `start`. Elsewhere renders are
    not watched and never close the dispatch gate; overruns still count.
    """

    def __init__(self, *, cpu_seconds: float = CPU_SECONDS) -> None:
        self._cpu_seconds = cpu_seconds
        self._interrupter: Interrupter | None = None
        self._watchdog: _WatchdogHandle | None = None
        #: Versions that were stopped within this slice, with the sources that they are stopped for.
        self._stopped: dict[int, set[str]] = {}
        self._turn = threading.Lock()
        self._owner = 0  # the thread whose slice is watched
        self._slice = contextlib.ExitStack()
        self._closes_gate = False
        self._unproved: set[int] = set()  # versions whose proof this slice has requested
        self.wanted: set[int] = set()
        """Versions that were rendered before they were proved."""

    @property
    def is_running(self) -> bool:
        """Whether renders are watched."""
        return self._interrupter is not None

    def start(self) -> None:
        """Starts the interrupting thread and the watchdog process. For worker processes."""
        self._interrupter = Interrupter(cpu_seconds=self._cpu_seconds)
        self._interrupter.start()
        self._watchdog = _WatchdogHandle.start(self._cpu_seconds + KILL_AFTER_SECONDS)

    def stop(self) -> None:
        """Ends the thread and the watchdog."""
        if self._interrupter is not None:
            self._interrupter.stop()
            self._interrupter = None
        if self._watchdog is not None:
            self._watchdog.close()
            self._watchdog = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Wraps the life of a worker."""
        self.start()
        try:
            yield
        finally:
            self.stop()

    @contextlib.contextmanager
    def slice(self) -> Iterator[None]:
        """Wraps the renders of a slice. When several threads render, only the first is watched."""
        self._stopped.clear()  # decisions made after this read the stops themselves
        if self._interrupter is None or not self._turn.acquire(blocking=False):
            yield
            return
        try:
            with self._slice:
                self._slice.enter_context(self._interrupter.slice())
                if self._watchdog is not None:
                    self._slice.enter_context(self._watchdog.busy())
                self._owner = threading.get_ident()
                yield
        finally:
            self._owner, self._closes_gate = 0, False
            self._unproved.clear()
            self._turn.release()

    def render(self, version: CompiledVersion | None, source: str, call: Callable[[], T]) -> T:
        """Runs a call that renders a version for a message of a source; returns its result.

        Raises:
            VersionStopped: the version was stopped in this slice, for all or for this source.
            TemplateFault: template_limit, when it took too much CPU time; the overrun is counted.
        """
        if version is None:
            return call()
        if self._stopped:
            self._check_stopped(version.version_id, source)
        try:
            if self._owner != threading.get_ident():
                return call()
            if not version.is_proved and version.version_id not in self._unproved:
                self._close_gate(version)
            return self._watched(version.version_id, source, call)
        except LimitExceeded as fault:
            if not fault.is_overrun:
                raise
            self._count_overrun(version.version_id, source)
            raise TemplateFault(fault.detail, code=LIMIT, **fault.data) from fault

    def _watched(self, version_id: int, source: str, call: Callable[[], T]) -> T:
        interrupter, watchdog = self._interrupter, self._watchdog
        assert interrupter is not None
        if watchdog is None:
            return interrupter.run(call)
        # This runs once a message. It is inlined: each function call would cost a tenth of it.
        cells = watchdog.cells
        cells[VERSION] = version_id
        if source != watchdog.source:
            watchdog.name(source)
        cells[SEQUENCE] = interrupter.sequence + 1
        try:
            return interrupter.run(call)
        finally:
            cells[SEQUENCE] = 0

    def _close_gate(self, version: CompiledVersion) -> None:
        """Stops dispatches for the rest of the slice, unless the version was proved meanwhile.

        Runs once a slice: a query for each render would be slower than the renders.
        """
        if refresh_proof(version):
            return
        self._unproved.add(version.version_id)
        self.wanted.add(version.version_id)
        if not self._closes_gate:
            self._closes_gate = True
            self._slice.enter_context(DISPATCH_GATE.closed())

    def _check_stopped(self, version_id: int, source: str) -> None:
        sources = self._stopped.get(version_id, ())
        for each in ("", source):
            if each in sources:
                raise VersionStopped(f"version:{version_id}{'@' if each else ''}{each}")

    def _count_overrun(self, version_id: int, source: str) -> None:
        stopped = TemplateOverrun.objects.note(version_id, source, at=database_now())
        if stopped:
            self._stopped.setdefault(version_id, set()).update(stopped)


class _WatchdogHandle:
    """The watchdog process of this worker, as the worker sees it."""

    def __init__(self, board: Board, pipe: int, process: subprocess.Popen[bytes]) -> None:
        self._board = board
        self.cells = board.cells
        self._pipe = pipe
        self._process = process
        self.source = ""

    @classmethod
    def start(cls, limit_s: float) -> _WatchdogHandle | None:
        """Starts a watchdog; None where the system does not show other processes' CPU time."""
        if not os.path.exists("/proc/self/task"):
            log.warning("render.unwatched", reason="there is no /proc")
            return None
        number = new_file()
        theirs, ours = os.pipe()
        limit_ms = str(int(limit_s * 1_000))
        command = [sys.executable, "-s", "-S", "-P", "-m", _MODULE, str(os.getpid())]
        try:
            process = subprocess.Popen(
                [*command, str(number), str(theirs), limit_ms, note.__name__],
                stdin=subprocess.DEVNULL,
                pass_fds=(number, theirs),
                env=_environment(),
                start_new_session=True,
            )
        except OSError as error:
            log.error("render.unwatched", reason=type(error).__name__)
            os.close(ours)
            return None
        finally:
            os.close(theirs)
        board = Board(number)
        os.close(number)
        return cls(board, ours, process)

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Wraps the renders of a slice."""
        cells = self.cells
        cells[THREAD] = threading.get_native_id()
        cells[BUSY] = 1
        if cells[ASLEEP]:
            with contextlib.suppress(OSError):  # the watchdog ended: renders continue unwatched
                os.write(self._pipe, b".")
        try:
            yield
        finally:
            cells[BUSY] = 0

    def name(self, source: str) -> None:
        """Publishes the source of the messages that are rendered from now on."""
        self._board.source = self.source = source

    def close(self) -> None:
        """Ends the watchdog process."""
        os.close(self._pipe)
        self._process.wait()
        self._board.close()


def _environment() -> dict[str, str]:
    """Returns this environment with the paths of modules and settings, which record a kill."""
    path = os.pathsep.join(each for each in (_ROOT, os.environ.get("PYTHONPATH")) if each)
    return {**os.environ, "PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE}


GUARD = Guard()
"""The guard of this process."""
