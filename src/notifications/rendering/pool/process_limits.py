"""The limits that a render process sets for itself; the kernel enforces them.

CPU: a timer ends the process when one render has used up its time, whatever it is doing then.
Memory: allocations beyond what the process used when a request arrived, plus a margin, are refused.
"""

from __future__ import annotations

import os
import resource
import signal

CPU_SECONDS = 0.3
"""CPU time of one render."""
MEMORY_BYTES = 64 * 2**20
"""Memory that a request may use beyond what the process used when it arrived."""
RETAINED_BYTES = 96 * 2**20
"""Memory that a process may retain between requests, beyond what it started with."""
_OPEN_FILES = 64
_STATM = "/proc/self/statm"
_DATA_FIELD = 5  # pages of data and stack, as RLIMIT_DATA counts them


class ProcessLimits:
    """The limits of this process."""

    #: The signal by which the CPU timer ends the process.
    out_of_time = signal.SIGPROF

    def __init__(self) -> None:
        signal.signal(self.out_of_time, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        _lower(resource.RLIMIT_NOFILE, _OPEN_FILES)
        _, self._hard = resource.getrlimit(resource.RLIMIT_DATA)
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._statm = os.open(_STATM, os.O_RDONLY) if os.path.exists(_STATM) else None
        self._began_with = self._memory_in_use()

    def begin_request(self) -> None:
        """Limits memory to what is in use now plus MEMORY_BYTES."""
        if self._statm is not None:
            resource.setrlimit(
                resource.RLIMIT_DATA, (self._memory_in_use() + MEMORY_BYTES, self._hard)
            )

    def end_request(self) -> None:
        """Lifts the memory limit, so that the next request can be read."""
        resource.setrlimit(resource.RLIMIT_DATA, (self._hard, self._hard))

    def begin_render(self) -> None:
        """Starts the CPU timer of one render."""
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)

    def end_render(self) -> None:
        """Stops the CPU timer."""
        signal.setitimer(signal.ITIMER_PROF, 0)

    def is_full(self) -> bool:
        """Returns whether the process retains too much memory to continue."""
        return self._memory_in_use() > self._began_with + RETAINED_BYTES

    def _memory_in_use(self) -> int:
        """Returns the bytes of memory as RLIMIT_DATA counts them; 0 where the system hides it."""
        if self._statm is None:
            return 0
        return int(os.pread(self._statm, 128, 0).split()[_DATA_FIELD]) * self._page


def _lower(kind: int, most: int) -> None:
    """Lowers a limit to `most` unless it is lower already."""
    _, hard = resource.getrlimit(kind)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))
