"""Interrupts a render from another thread when it has used up its CPU time.

Three things keep an interrupt from hitting whatever the thread does after the render: `_meant` is
set before the last look at the sequence; the render changes the sequence and then waits for a
meant interrupt to be sent or dropped; and one that was sent and has not struck strikes there.

It cannot be taken back: CPython would go on looking for it at every call and every turn of a loop,
and up to 3.12 hang in a traced one (PyThreadState_SetAsyncExc leaves the mark when it is cleared).
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
LOOK_S = 0.05
_QUIET_LOOKS = 20
_TURNS = 100
_DETAIL = "rendering takes more than {:g} s of CPU time"


class RenderInterrupted(BaseException):
    """Raised in a render from outside. Not an Exception: nothing on the way catches it."""


class Interrupter:
    """Watches the renders of one thread. One slice at a time, one render at a time."""

    def __init__(self, *, cpu_seconds: float = CPU_SECONDS, look_s: float = LOOK_S) -> None:
        self._cpu_seconds = cpu_seconds
        self._look_s = look_s
        self.sequence = 0  # odd while a render runs
        self._meant = self._sent = 0
        self._thread = self._native = 0
        self._used: Callable[[], float] = time.monotonic
        self._is_busy = False
        self._wanted = threading.Event()
        self._ended = False
        self._watcher: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread that watches."""
        self._watcher = threading.Thread(target=self._watch, name="render-watch", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """Ends the thread that watches."""
        self._ended = True
        self._wanted.set()
        if self._watcher is not None:
            self._watcher.join()

    @contextlib.contextmanager
    def slice(self) -> Iterator[None]:
        """Around the renders of a slice, all of them on the calling thread."""
        native = threading.get_native_id()  # a thread may have the ident of one that has ended
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
        """What a render answers.

        Raises:
            LimitExceeded: it was interrupted.
        """
        try:
            try:
                self.sequence += 1
                return call()
            finally:
                mine = self.sequence | 1
                self.sequence = mine + 1
                if mine in (self._meant, self._sent):
                    self._await_strike(mine)
        except RenderInterrupted:
            self._end_for_sure()
            detail = _DETAIL.format(self._cpu_seconds)
            raise LimitExceeded(detail, is_overrun=True) from None

    def _end(self) -> None:
        """From here on no interrupt is sent; waits for one that may be under way."""
        mine = self.sequence | 1
        self.sequence = mine + 1
        self._await_strike(mine)

    def _await_strike(self, mine: int) -> None:
        while self._meant == mine and self._sent != mine:
            time.sleep(0)
        if self._sent == mine:
            self._sent = 0
            _let_it_strike()

    def _end_for_sure(self) -> None:
        while True:
            try:
                if self.sequence % 2:
                    self._end()
                _let_it_strike()
                return
            except RenderInterrupted:
                continue

    # -- the thread that watches -----------------------------------------------------------------

    def _watch(self) -> None:
        seen, began, quiet = 0, 0.0, 0
        while not self._ended:
            if quiet > _QUIET_LOOKS:
                self._wanted.clear()
                if not self._is_busy:
                    self._wanted.wait()
                quiet = 0
            time.sleep(self._look_s)
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
                began = used  # if something swallowed it, another one follows

    def _interrupt(self, sequence: int) -> None:
        self._meant = sequence
        if self.sequence == sequence:
            _raise_in(self._thread, RenderInterrupted)
            self._sent = sequence
        self._meant = 0


def _cpu_clock(thread: int) -> Callable[[], float]:
    """Tells the CPU time of a thread (s); wall time where the system tells of no other thread's."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return time.monotonic
    number = time.pthread_getcpuclockid(thread)
    return lambda: time.clock_gettime(number)


def _let_it_strike() -> None:
    """Where an interrupt that was sent has not struck yet, it does here; else nothing happens."""
    try:
        for _ in range(_TURNS):  # the interpreter looks for it at each turn
            pass
    except RenderInterrupted:
        pass


def _raise_in(thread: int, kind: type[BaseException]) -> None:
    """Raises an exception in a thread the next time that the interpreter looks for one."""
    held = ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), held)
