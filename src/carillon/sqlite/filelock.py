"""A lock on a file, waited for in the kernel's queue and no longer than a time-out.

`flock` has no time-out, and polling it would lose to whoever takes the lock again at once. So a
waiting thread blocks in `flock`, and one that has waited too long is interrupted by a signal, which
only this module sends, whose handler does nothing, and which Python never sees.
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
    """Interrupts the system call of each thread whose deadline is over, until the thread says that
    it has noticed. One thread does so, and only while somebody waits."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._deadlines: dict[int, float] = {}
        self._wanted = threading.Event()
        self._running = False

    def set(self, deadline: float) -> None:
        """Has the calling thread interrupted from `deadline` (monotonic) on."""
        with self._guard:
            self._deadlines[threading.get_ident()] = deadline
            if not self._running:
                self._start()
        self._wanted.set()

    def clear(self) -> None:
        """Leaves the calling thread alone: after this it is not interrupted any more."""
        with self._guard:
            del self._deadlines[threading.get_ident()]

    def _start(self) -> None:
        # Any C function that takes a number will do for a handler. Not Python's: it would be run in
        # the main thread only, and `fcntl.flock` goes on after it.
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
    """Locks the file; its descriptor, which `drop` takes. None: somebody else had it all the time.

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
    """Unlocks: whoever waits is woken."""
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
    """A child has none of its parent's threads, and must not hold the parent's locks open."""
    global _alarm
    _alarm = _Alarm()
    for file in _open:
        os.close(file)
    _open.clear()


os.register_at_fork(after_in_child=_forget_after_fork)
