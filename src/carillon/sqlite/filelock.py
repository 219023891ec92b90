"""A lock on a file: threads wait for it in the kernel's queue, with a time-out.

`flock` has no time-out, and a thread that polls would lose to one that acquires the lock again at
once. So a waiting thread blocks in `flock`, and a signal interrupts one that has waited too long.
Only this module sends that signal, its handler does nothing, and Python never sees it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import threading
import time

_libc = ctypes.CDLL(None, use_errno=True)
_SIGNAL = signal.SIGRTMAX - 1 if hasattr(signal, "SIGRTMAX") else signal.SIGURG
_CHECK_S = 0.05


class _Alarm:
    """Interrupts the system call of each thread whose deadline has passed, until it calls `clear`.

    One background thread does this, and only while another thread waits.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._deadlines: dict[int, float] = {}
        self._wanted = threading.Event()
        self._running = False

    def set(self, deadline: float) -> None:
        """Interrupts the calling thread from `deadline` (monotonic, s)."""
        with self._guard:
            self._deadlines[threading.get_ident()] = deadline
            if not self._running:
                self._start()
        self._wanted.set()

    def clear(self) -> None:
        """Stops interrupting the calling thread."""
        with self._guard:
            del self._deadlines[threading.get_ident()]

    def _start(self) -> None:
        # Any C function that gets a number can be the handler. A Python handler would run in the
        # main thread only, and `fcntl.flock` would continue after it.
        _libc.signal(_SIGNAL, ctypes.cast(_libc.abs, ctypes.c_void_p))
        _libc.siginterrupt(_SIGNAL, 1)
        threading.Thread(target=self._run, name="file-lock-alarm", daemon=True).start()
        self._running = True

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            with self._guard:
                now = time.monotonic()
                for thread, deadline in self._deadlines.items():
                    if deadline <= now:
                        signal.pthread_kill(thread, _SIGNAL)
                if not self._deadlines:
                    self._wanted.clear()
                    continue
            time.sleep(_CHECK_S)


_alarm = _Alarm()
_open: set[int] = set()


def acquire(path: str, seconds: float) -> int | None:
    """Locks the file; returns its descriptor, for `release`. None: the time-out passed.

    Raises:
        OSError: the file cannot be opened.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    _open.add(file)
    taken = False
    try:
        taken = _at_once(file) or _in_time(file, time.monotonic() + seconds)
    finally:
        if not taken:
            release(file)
    return file if taken else None


def release(file: int) -> None:
    """Unlocks the file and wakes the next waiting thread."""
    _open.discard(file)
    os.close(file)


def _at_once(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _in_time(file: int, deadline: float) -> bool:
    _alarm.set(deadline)
    try:
        while _libc.flock(file, fcntl.LOCK_EX) != 0:
            number = ctypes.get_errno()
            if number != errno.EINTR:
                raise OSError(number, os.strerror(number))
            if time.monotonic() >= deadline:
                return False
        return True
    finally:
        _alarm.clear()


def _forget_after_fork() -> None:
    """Drops the parent's locks in the child, which has none of the parent's threads."""
    global _alarm
    _alarm = _Alarm()
    for file in _open:
        os.close(file)
    _open.clear()


os.register_at_fork(after_in_child=_forget_after_fork)
