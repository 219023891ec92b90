"""What the pipeline calls around renders: counts overruns, stops versions, tells the watchdog."""

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
from notifications.rendering.guard.departures import DEPARTURES
from notifications.rendering.guard.interrupt import CPU_SECONDS, Interrupter
from notifications.rendering.language.meter import LIMIT
from notifications.rendering.render import CompiledVersion
from notifications.rendering.versions import refresh_proof

log = structlog.get_logger("carillon.rendering")
T = TypeVar("T")
HELD_SECONDS = 1.0
"""CPU time after which a render is killed that an interrupt does not reach."""
_MODULE = "notifications.rendering.guard.process"
_ROOT = str(Path(__file__).resolve().parents[3])


class VersionStopped(Exception):
    """The version was stopped while its slice was rendered. by: the stop, as `scope:value`."""

    def __init__(self, by: str) -> None:
        super().__init__(by)
        self.by = by


class Guard:
    """Guards the renders of a process. Until it is started, and on other threads than the one that
    renders slices, renders are neither watched nor held; overruns count all the same."""

    def __init__(self, *, cpu_seconds: float = CPU_SECONDS) -> None:
        self._cpu_seconds = cpu_seconds
        self._interrupter: Interrupter | None = None
        self._watchdog: _Watchdog | None = None
        self._stopped: dict[int, set[str]] = {}  # versions stopped within this slice, and for whom
        self._turn = threading.Lock()
        self._owner = 0  # the thread whose slice is watched
        self._slice = contextlib.ExitStack()
        self._holds = False
        self._unproved: set[int] = set()  # versions that this slice has asked for a proof of
        self.wanted: set[int] = set()
        """Versions that were rendered and that nobody has proved."""

    @property
    def is_running(self) -> bool:
        """Whether renders are watched."""
        return self._interrupter is not None

    def start(self) -> None:
        """Starts the thread and the process that watch. For the process of a worker."""
        self._interrupter = Interrupter(cpu_seconds=self._cpu_seconds)
        self._interrupter.start()
        self._watchdog = _Watchdog.started(self._cpu_seconds + HELD_SECONDS)

    def stop(self) -> None:
        """Ends both."""
        if self._interrupter is not None:
            self._interrupter.stop()
            self._interrupter = None
        if self._watchdog is not None:
            self._watchdog.close()
            self._watchdog = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Around the life of a worker."""
        self.start()
        try:
            yield
        finally:
            self.stop()

    @contextlib.contextmanager
    def slice(self) -> Iterator[None]:
        """Around the renders of a slice. Of several threads the first one's are watched."""
        self._stopped.clear()  # what was decided since has read the stops
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
            self._owner, self._holds = 0, False
            self._unproved.clear()
            self._turn.release()

    def render(self, version: CompiledVersion | None, source: str, call: Callable[[], T]) -> T:
        """What a call answers that renders a version for a message of a source.

        Raises:
            VersionStopped: the version was stopped in this slice, for all or for this source.
            TemplateFault: template_limit, when it took too much CPU time; this is counted.
        """
        if version is None:
            return call()
        if self._stopped:
            self._refuse_stopped(version.version_id, source)
        try:
            if self._owner != threading.get_ident():
                return call()
            if not version.is_proved and version.version_id not in self._unproved:
                self._hold(version)
            return self._watched(version.version_id, source, call)
        except LimitExceeded as fault:
            if not fault.is_overrun:
                raise
            self._note(version.version_id, source)
            raise TemplateFault(fault.detail, code=LIMIT, **fault.data) from fault

    def _watched(self, version_id: int, source: str, call: Callable[[], T]) -> T:
        interrupter, watchdog = self._interrupter, self._watchdog
        assert interrupter is not None
        if watchdog is None:
            return interrupter.run(call)
        # Once a message: written out, for each call of a function costs a tenth of what this does.
        cells = watchdog.cells
        cells[VERSION] = version_id
        if source != watchdog.source:
            watchdog.name(source)
        cells[SEQUENCE] = interrupter.sequence + 1
        try:
            return interrupter.run(call)
        finally:
            cells[SEQUENCE] = 0

    def _hold(self, version: CompiledVersion) -> None:
        """Lets nothing depart for the rest of the slice, unless somebody proved it meanwhile. Asked
        once a slice: a query for each render would be slower than the renders."""
        if refresh_proof(version):
            return
        self._unproved.add(version.version_id)
        self.wanted.add(version.version_id)
        if not self._holds:
            self._holds = True
            self._slice.enter_context(DEPARTURES.held())

    def _refuse_stopped(self, version_id: int, source: str) -> None:
        sources = self._stopped.get(version_id, ())
        for each in ("", source):
            if each in sources:
                raise VersionStopped(f"version:{version_id}{'@' if each else ''}{each}")

    def _note(self, version_id: int, source: str) -> None:
        stopped = TemplateOverrun.objects.note(version_id, source, at=database_now())
        if stopped:
            self._stopped.setdefault(version_id, set()).update(stopped)


class _Watchdog:
    """The watchdog process of this one, as it sees it."""

    def __init__(self, board: Board, pipe: int, process: subprocess.Popen[bytes]) -> None:
        self._board = board
        self.cells = board.cells
        self._pipe = pipe
        self._process = process
        self.source = ""

    @classmethod
    def started(cls, limit_s: float) -> _Watchdog | None:
        """Starts one; None where the system does not tell of other processes' CPU time."""
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
        """Around the renders of a slice."""
        cells = self.cells
        cells[THREAD] = threading.get_native_id()
        cells[BUSY] = 1
        if cells[ASLEEP]:
            with contextlib.suppress(OSError):  # it is gone: renders go on unwatched
                os.write(self._pipe, b".")
        try:
            yield
        finally:
            cells[BUSY] = 0

    def name(self, source: str) -> None:
        """From here on renders are for messages of this source."""
        self._board.source = self.source = source

    def close(self) -> None:
        """Ends the process."""
        os.close(self._pipe)
        self._process.wait()
        self._board.close()


def _environment() -> dict[str, str]:
    """This process's, and where its modules and settings are: a kill is written down by them."""
    path = os.pathsep.join(each for each in (_ROOT, os.environ.get("PYTHONPATH")) if each)
    return {**os.environ, "PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE}


GUARD = Guard()
"""That of this process."""
