"""The limits that a render process puts on itself: the kernel enforces them.

CPU: a timer ends the process when one render has used it up, whatever the process is doing then.
Memory: what is allocated beyond what there was when a request came is refused.
"""

from __future__ import annotations

import os
import resource
import signal

CPU_SECONDS = 0.3
"""CPU time of one render."""
MEMORY_BYTES = 64 * 2**20
"""Memory that a request may take beyond what the process held when it came."""
KEPT_BYTES = 96 * 2**20
"""Memory that a process may keep between requests, beyond what it started with."""
_OPEN_FILES = 64
_STATM = "/proc/self/statm"
_DATA_FIELD = 5  # pages of data and stack, as RLIMIT_DATA counts them


class Walls:
    """Limits of this process. `out_of_time` is the signal that its CPU timer ends it by."""

    out_of_time = signal.SIGPROF

    def __init__(self) -> None:
        signal.signal(self.out_of_time, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        _lower(resource.RLIMIT_NOFILE, _OPEN_FILES)
        _, self._hard = resource.getrlimit(resource.RLIMIT_DATA)
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._statm = os.open(_STATM, os.O_RDONLY) if os.path.exists(_STATM) else None
        self._began_with = self._held()

    def around_request(self) -> None:
        """Limits memory to what is held now, and some more."""
        if self._statm is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (self._held() + MEMORY_BYTES, self._hard))

    def after_request(self) -> None:
        """Lifts the limit of memory: the next request has to be read."""
        resource.setrlimit(resource.RLIMIT_DATA, (self._hard, self._hard))

    def begin_render(self) -> None:
        """Starts the CPU timer of one render."""
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)

    def end_render(self) -> None:
        """Stops the CPU timer."""
        signal.setitimer(signal.ITIMER_PROF, 0)

    def is_full(self) -> bool:
        """Whether the process holds more than it should go on with."""
        return self._held() > self._began_with + KEPT_BYTES

    def _held(self) -> int:
        """Bytes of memory as RLIMIT_DATA counts them; 0 where the system does not tell."""
        if self._statm is None:
            return 0
        return int(os.pread(self._statm, 128, 0).split()[_DATA_FIELD]) * self._page


def _lower(kind: int, most: int) -> None:
    """Lowers a limit that is higher."""
    _, hard = resource.getrlimit(kind)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))
