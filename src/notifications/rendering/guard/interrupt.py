"""Interrupts a render from another thread when it has used up its CPU time.

Three rules keep an interrupt from hitting what the thread does after the render:

- The watching thread sets `_intended` before its last check of the sequence.
- The render changes the sequence, then waits until an intended interrupt is sent or dropped.
- An interrupt that was sent and has not been raised yet is raised and absorbed there.

A sent interrupt cannot be revoked. CPython would continue to check for it at every call and at
every turn of a loop, and up to 3.12 hang in a traced one (PyThreadState_SetAsyncExc leaves the mark
when it is cleared).
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from notifications.domain.errors import LimitExceeded

T = TypeVar("T")
CPU_SECONDS = 0.3
CHECK_S = 0.05
_IDLE_CHECKS = 20
_TURNS = 100
_DETAIL = "rendering takes more than {:g} s of CPU time"


class RenderInterrupted(BaseException):
    """Raised in a render from outside. It is not an Exception, so ordinary handlers miss it."""


class Interrupter:
    """Watches the renders of one thread. One slice at a time, one render at a time."""

    def __init__(self, *, cpu_seconds: float = CPU_SECONDS, check_s: float = CHECK_S) -> None:
        self._cpu_seconds = cpu_seconds
        self._check_s = check_s
        self.sequence = 0  # odd while a render runs
        self._intended = self._sent = 0
        self._thread = self._native = 0
        self._used: Callable[[], float] = time.monotonic
        self._is_busy = False
        self._wanted = threading.Event()
        self._ended = False
        self._watcher: threading.Thread | None = None

    def start(self) -> None:
        """Starts the watching thread."""
        self._watcher = threading.Thread(target=self._watch, name="render-watch", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """Ends the watching thread."""
        self._ended = True
        self._wanted.set()
        if self._watcher is not None:
            self._watcher.join()

    @contextlib.contextmanager
    def slice(self) -> Iterator[None]:
        """Wraps the renders of a slice, all of them on the calling thread."""
        native = threading.get_native_id()  # a thread may reuse the ident of one that has ended
        if native != self._native:
            self._native, self._thread = native, threading.get_ident()
            self._used = _cpu_clock(self._thread)
        self._is_busy = True
        if not self._wanted.is_set():
            self._wanted.set()
        try:
            yield
        finally:
            self._is_busy = False

    def run(self, call: Callable[[], T]) -> T:
        """Runs a render and returns its result.

        Raises:
            LimitExceeded: the render was interrupted.
        """
        try:
            try:
                self.sequence += 1
                return call()
            finally:
                mine = self.sequence | 1
                self.sequence = mine + 1
                if mine in (self._intended, self._sent):
                    self._wait_delivered(mine)
        except RenderInterrupted:
            self._end_safely()
            detail = _DETAIL.format(self._cpu_seconds)
            raise LimitExceeded(detail, is_overrun=True) from None

    def _wait_delivered(self, mine: int) -> None:
        """Waits for an interrupt that may be on its way to this render, and absorbs it."""
        # An earlier interrupt of this render may be sent already, so only the intention counts.
        while self._intended == mine:
            time.sleep(0)
        if self._sent == mine:
            self._sent = 0
            _absorb_sent()

    def _end_safely(self) -> None:
        """Ends a render that was interrupted, at whatever line that happened."""
        while True:
            try:
                mine = (self.sequence - 1) | 1
                self.sequence = mine + 1
                self._wait_delivered(mine)
                _absorb_sent()
                return
            except RenderInterrupted:
                continue

    # -- the watching thread ---------------------------------------------------------------------

    def _watch(self) -> None:
        seen, began, quiet = 0, 0.0, 0
        while not self._ended:
            if quiet > _IDLE_CHECKS:
                self._wanted.clear()
                if not self._is_busy:
                    self._wanted.wait()
                quiet = 0
            time.sleep(self._check_s)
            quiet = 0 if self._is_busy else quiet + 1
            sequence = self.sequence
            if sequence % 2 == 0:
                continue
            try:
                used = self._used()
            except OSError:  # the thread has just ended
                continue
            if sequence != seen:
                seen, began = sequence, used
            elif used - began > self._cpu_seconds:
                self._interrupt(sequence)
                began = used  # another interrupt follows if the render swallowed this one

    def _interrupt(self, sequence: int) -> None:
        self._intended = sequence
        if self.sequence == sequence:
            _raise_in(self._thread, RenderInterrupted)
            self._sent = sequence
        self._intended = 0


def _cpu_clock(thread: int) -> Callable[[], float]:
    """Returns a clock of a thread's CPU time (s).

    It reads wall time where the system does not show the CPU time of other threads.
    """
    if not hasattr(time, "pthread_getcpuclockid"):
        return time.monotonic
    number = time.pthread_getcpuclockid(thread)
    return lambda: time.clock_gettime(number)


def _absorb_sent() -> None:
    """Lets the interpreter raise an interrupt that was sent, and absorbs it; else does nothing."""
    try:
        for _ in range(_TURNS):  # the interpreter checks for an interrupt at each turn
            pass
    except RenderInterrupted:
        pass


def _raise_in(thread: int, kind: type[BaseException]) -> None:
    """Raises an exception in a thread at the interpreter's next check."""
    exception = ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), exception)
