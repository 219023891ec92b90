"""Threads that repeat a call until they must end, and a supervisor for them.

A round may raise anything: the error is logged with a trace id, and the next round comes after a
pause that grows up to a limit. A thread that dies is started again. A thread that hangs is logged
with its stack.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from types import TracebackType

import structlog
from django.db import connection

from notifications.domain.loops import SILENT_AFTER_PERIODS
from notifications.infra import clock, ports

log = structlog.get_logger("carillon.loops")
_WATCH_S = 2.0
_LONGEST_PAUSE_S = 10.0
_DOUBLINGS = 6
_STAY_OPEN_S = 5.0


class Loop:
    """A call that one thread repeats.

    every_s: seconds between rounds. period_s: seconds that a round may take; one that takes three
    times as long hangs. rests_s: returns the seconds to the next round after one that did not
    fail; without it, they are `every_s`. allowed: returns whether a round may begin now; otherwise
    the loop waits for `poke`. interrupt: makes a round that waits for something end soon.
    """

    def __init__(
        self,
        name: str,
        call: Callable[[], object],
        *,
        every_s: float,
        period_s: float,
        rests_s: Callable[[], float] | None = None,
        allowed: Callable[[str], bool] = lambda _name: True,
        interrupt: Callable[[], object] = lambda: None,
    ) -> None:
        self.name = name
        self.failures = 0
        self.error = ""
        self.began_at: float | None = None
        self.finished_at: float | None = None
        self._call = call
        self._every_s = every_s
        self._rests_s = rests_s or (lambda: every_s)
        self._hangs_after_s = period_s * SILENT_AFTER_PERIODS
        self._allowed = allowed
        self._interrupt = interrupt
        self._ended = False
        self._poked = ports.Event()
        self._thread: threading.Thread | None = None
        self._reported_at: float | None = None

    # -- for the supervisor ----------------------------------------------------------------------

    def start(self) -> None:
        """Starts the thread."""
        self._thread = ports.Thread(target=self._run, name=f"loop {self.name}", daemon=True)
        self._thread.start()

    def poke(self) -> None:
        """Makes the next round begin now. May be called from any thread."""
        self._poked.set()

    def note_idle(self) -> None:
        """Notes that there is no work: a round would have ended now, with nothing done.

        A loop that runs a round, or whose last round failed, is left as it is.
        """
        if self.began_at is None and not self.failures and self.finished_at is not None:
            self.finished_at = clock.monotonic()

    def end(self) -> None:
        """Makes the thread end after its round."""
        self._ended = True
        self._poked.set()
        self._interrupt()

    def join(self, seconds: float) -> bool:
        """Waits for the end of the thread. Returns False when it still runs."""
        if self._thread is not None:
            self._thread.join(seconds)
        return not self.is_alive()

    def is_alive(self) -> bool:
        """Returns whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def hangs(self) -> bool:
        """Returns whether the current round takes much longer than it may."""
        began = self.began_at
        return began is not None and clock.monotonic() - began > self._hangs_after_s

    def check_thread(self) -> None:
        """Restarts a thread that died. Logs a hanging round once, with its stack."""
        if self._ended:
            return
        if not self.is_alive():
            log.error("loop.restarted", loop=self.name, error=self.error)
            self.began_at = None
            self.start()
        elif self.hangs() and self._reported_at != self.began_at:
            self._reported_at = self.began_at
            log.error("loop.hangs", loop=self.name, stack=self._stack())

    def _stack(self) -> str:
        ident = self._thread.ident if self._thread else None
        frame = sys._current_frames().get(ident or 0)
        return "".join(traceback.format_stack(frame)) if frame else ""

    # -- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._ended:
                allowed = self._allowed(self.name)
                if allowed:
                    self._round()
                self._poked.wait(self._pause() if allowed else None)
                self._poked.clear()
        except BaseException as error:
            self.failures += 1
            self.error = type(error).__name__
            raise
        finally:
            connection.close()

    def _round(self) -> None:
        self.began_at = clock.monotonic()
        try:
            self._call()
        except Exception as error:
            self.failures += 1
            trace_id = ports.token(8)
            self.error = f"{type(error).__name__} (trace {trace_id})"
            log.exception("loop.failed", loop=self.name, trace_id=trace_id, failures=self.failures)
            connection.close()
        else:
            self.failures, self.error = 0, ""
            self.finished_at = clock.monotonic()
        finally:
            self.began_at = None
        if connection.vendor != "sqlite" or self._every_s > _STAY_OPEN_S:
            connection.close()  # back to the pool; SQLite would read its file's schema each time

    def _pause(self) -> float:
        if not self.failures:
            return self._rests_s()
        longest = max(self._every_s, _LONGEST_PAUSE_S)
        return min(self._every_s * float(2 ** min(self.failures, _DOUBLINGS)), longest)


class LoopSupervisor:
    """Starts loops, restarts their threads, and ends them."""

    def __init__(self, loops: Sequence[Loop]) -> None:
        self.loops = list(loops)
        self._ended = ports.Event()
        self._watch = ports.Thread(target=self._run, name="loops-watch", daemon=True)

    def __enter__(self) -> LoopSupervisor:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts everything."""
        for loop in self.loops:
            loop.start()
        self._watch.start()

    def stop(self, seconds: float = 5.0) -> bool:
        """Makes every loop end and waits at most `seconds`. Returns whether all ended."""
        self._ended.set()
        for loop in self.loops:
            loop.end()
        until = clock.monotonic() + seconds
        return all(loop.join(max(0.0, until - clock.monotonic())) for loop in self.loops)

    def poke(self, name: str) -> None:
        """Makes a loop begin its next round now."""
        for loop in self.loops:
            if loop.name == name:
                loop.poke()

    def _run(self) -> None:
        while not self._ended.wait(_WATCH_S):
            for loop in self.loops:
                try:
                    loop.check_thread()
                except Exception:
                    log.exception("loop.unwatched", loop=loop.name)
