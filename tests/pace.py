"""Bounds of time that hold on a slow or busy machine: a bound grows with its current slowness.

They detect faults that take a hundred times too long, such as quadratic code or a wait without a
bound. Benchmarks measure speed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOOPS = 400_000
_NOMINAL_S = 0.006
"""The loop's time on an idle core of the machine that the bounds were written on."""


@contextmanager
def within(seconds: float, *, cpu: bool = False) -> Iterator[None]:
    """Asserts that the block takes at most `seconds`: CPU time of the thread, or wall time."""
    clock = time.thread_time if cpu else time.monotonic
    before = pace(clock)
    began = clock()
    yield
    took = clock() - began
    allowed = seconds * max(before, pace(clock))
    assert took < allowed, f"took {took:.2f} s of {allowed:.2f} s"


def pace(clock: Callable[[], float] = time.monotonic) -> float:
    """Returns how many times slower than nominal this thread is now; at least 1."""
    slowest = 0.0
    for _ in range(3):
        began = clock()
        for _ in range(_LOOPS):
            pass
        slowest = max(slowest, clock() - began)
    return max(1.0, slowest / _NOMINAL_S)


def crowd() -> float:
    """Returns how many processes compete for each core, averaged over a minute; at least 1.

    Code that waits for other processes is as slow as they are, however fast this thread is.
    """
    return max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0)))
