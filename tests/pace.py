"""Bounds of time that hold on a slow or busy machine: a bound is stretched by how slow it is now.

For hazards whose time is not twice but a hundred times too long: something quadratic, or a wait
without a bound. What is fast is measured by benchmarks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOOPS = 400_000
_NOMINAL_S = 0.006
"""What the loop takes on a quiet core of the machine that the bounds were written on."""


@contextmanager
def within(seconds: float, *, cpu: bool = False) -> Iterator[None]:
    """Asserts that the block takes no longer. cpu: CPU time of this thread, else wall time."""
    clock = time.thread_time if cpu else time.monotonic
    before = pace(clock)
    began = clock()
    yield
    took = clock() - began
    allowed = seconds * max(before, pace(clock))
    assert took < allowed, f"took {took:.2f} s of {allowed:.2f} s"


def pace(clock: Callable[[], float] = time.monotonic) -> float:
    """How many times slower than nominal this thread is now; 1 when it is quicker."""
    slowest = 0.0
    for _ in range(3):
        began = clock()
        for _ in range(_LOOPS):
            pass
        slowest = max(slowest, clock() - began)
    return max(1.0, slowest / _NOMINAL_S)


def crowd() -> float:
    """How many processes want each core, on the mean of a minute; 1 when there is room.

    What waits for other processes is as slow as these, however quick this thread is.
    """
    return max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0)))
