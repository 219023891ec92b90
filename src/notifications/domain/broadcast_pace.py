"""Computes the rate of a broadcast and its remaining time, from a few moments of a minute."""

from __future__ import annotations

import math
from collections.abc import Sequence

WINDOW_S = 60.0
SPACING_S = 5.0
"""Moments that are nearer to each other count as one."""
_LEAST_S = 1.0

Moment = Sequence[float]
"""[epoch seconds, recipients settled by then]."""


def add_moment(pace: Sequence[Moment], settled: int, *, at: float) -> list[list[float]]:
    """Returns the pace with another moment.

    Moments older than the window are dropped, except the last one where no other is left: the rate
    needs a start. A moment with fewer settled recipients than before, after a retry, begins anew.
    """
    valid = [list(moment) for moment in pace if moment[1] <= settled]
    if valid and at - valid[-1][0] < SPACING_S:
        return valid
    recent = [moment for moment in valid if at - moment[0] <= WINDOW_S]
    return [*(recent or valid[-1:]), [at, settled]]


def rate_per_second(pace: Sequence[Moment], settled: int, *, at: float) -> float:
    """Returns the recipients settled a second in the window until `at`; 0 where it is unknown."""
    known = [moment for moment in pace if moment[1] <= settled]
    recent = [moment for moment in known if at - moment[0] <= WINDOW_S]
    if not recent:
        return 0.0
    began, before = recent[0]
    return round((settled - before) / max(at - began, _LEAST_S), 2)


def eta_seconds(pending: int, rate: float, *, last_due_s: float = 0.0) -> int | None:
    """Returns the remaining seconds at this rate, rounded up; None where they are unknown.

    last_due_s: in how many seconds the last waiting message is due, such as a retry or the end of
    quiet hours.
    """
    if not pending:
        return 0
    if rate <= 0:
        return math.ceil(last_due_s) if last_due_s > 0 else None
    return math.ceil(max(pending / rate, last_due_s))
