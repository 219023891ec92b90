"""The watchdog of a worker: kills it when a render blocks its interpreter.

It starts without site packages and imports only the standard library and `board.py`. It reads the
CPU time of the rendering thread from /proc. While nothing is rendered it waits for a byte from the
worker; when that pipe closes, the worker has ended.

    process.py WORKER BOARD PIPE LIMIT_MS MODULE: the worker's pid, two descriptors, the CPU time of
    one render, and the module that records for which version the worker was killed.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

from notifications.rendering.guard.board import ASLEEP, BUSY, SEQUENCE, THREAD, VERSION, Board

CHECK_S = 0.2
IDLE_CHECKS = 10
"""Checks of an idle worker after which the watchdog waits for a byte."""
NOTE_BEFORE_S = 2.0
"""How long the record may take before the worker is killed. On SQLite a thread that waits for the
blocked interpreter may hold the lock of writers, until its process ends."""
NOTE_AFTER_S = (10.0, 30.0, 90.0)
"""How long each further try of the record may take. The worker is dead by then, so nothing waits
for the record but the version, which would block the next worker on a machine that is too slow."""
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_of(pid: int, thread: int) -> float | None:
    """Returns the CPU time of a thread (s); None when the thread has ended."""
    try:
        with open(f"/proc/{pid}/task/{thread}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / _TICKS


class RenderWatchdog:
    """Watches one worker."""

    def __init__(self, worker: int, board: Board, pipe: int, limit_s: float, module: str) -> None:
        self._worker = worker
        self._board = board
        self._pipe = pipe
        self._limit_s = limit_s
        self._module = module
        self._seen = 0
        self._began: float | None = None
        self._quiet = 0

    def run(self) -> None:
        """Checks the worker until it has ended."""
        while self._wait():
            if os.getppid() != self._worker:
                return
            if self._overdue():
                self._kill()
                return

    def _wait(self) -> bool:
        """Waits for the next check; False when the worker has ended."""
        cells = self._board.cells
        self._quiet = 0 if cells[BUSY] else self._quiet + 1
        timeout: float | None = CHECK_S
        if self._quiet > IDLE_CHECKS:
            cells[ASLEEP] = 1
            timeout = None if not cells[BUSY] else CHECK_S  # it may have begun meanwhile
        if select.select([self._pipe], [], [], timeout)[0]:
            cells[ASLEEP] = 0
            self._quiet = 0
            return os.read(self._pipe, 64) != b""
        return True

    def _overdue(self) -> bool:
        """Returns whether one render has used more than the limit since it was first seen."""
        cells = self._board.cells
        sequence = cells[SEQUENCE]
        if sequence % 2 == 0:
            self._seen = 0
            return False
        used = cpu_of(self._worker, cells[THREAD])
        if used is None:
            return False
        if sequence != self._seen or self._began is None:
            self._seen, self._began = sequence, used
            return False
        return used - self._began > self._limit_s

    def _kill(self) -> None:
        """Stops the worker, records what it was rendering, and kills it."""
        os.kill(self._worker, signal.SIGSTOP)
        version, source = self._board.cells[VERSION], self._board.source
        sys.stderr.write(f"render.kill worker={self._worker} version={version}\n")
        error = self._record(version, source, NOTE_BEFORE_S)
        os.kill(self._worker, signal.SIGKILL)
        for seconds in NOTE_AFTER_S:
            if not error:
                return
            error = self._record(version, source, seconds)
        if error:
            sys.stderr.write(f"render.kill-unnoted error={error}\n")

    def _record(self, version: int, source: str, seconds: float) -> str:
        """Records for which version a worker is killed; returns the error, or an empty string."""
        command = [sys.executable, "-m", self._module, str(version), source]
        try:
            done = subprocess.run(command, timeout=seconds, check=False, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.TimeoutExpired) as error:
            return type(error).__name__
        return "" if done.returncode == 0 else f"exit {done.returncode}"


def main() -> None:
    """Watches the parent process."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the worker is watched while it drains
    worker, board, pipe, limit_ms, module = sys.argv[1:]
    RenderWatchdog(int(worker), Board(int(board)), int(pipe), int(limit_ms) / 1_000, module).run()


if __name__ == "__main__":
    main()
