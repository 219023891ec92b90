"""How fast a broadcast goes: a few moments of the last minute tell the rate and the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence

WINDOW_S = 60.0
SPACING_S = 5.0
"""Moments nearer to each other than this are one."""
_LEAST_S = 1.0

Moment = Sequence[float]
"""[epoch seconds, recipients settled by then]."""


def add_moment(pace: Sequence[Moment], settled: int, *, at: float) -> list[list[float]]:
    """The pace with another moment; those that are older than the window are forgotten, but for the
    last of them, from which the rate is counted. Fewer settled than before begins anew: a retry."""
    kept = [list(moment) for moment in pace if moment[1] <= settled]
    if kept and at - kept[-1][0] < SPACING_S:
        return kept
    young = [moment for moment in kept if at - moment[0] <= WINDOW_S]
    return [*(young or kept[-1:]), [at, settled]]


def rate_per_second(pace: Sequence[Moment], settled: int, *, at: float) -> float:
    """Recipients settled a second over the window, until `at`; 0 where nothing is known."""
    known = [moment for moment in pace if moment[1] <= settled]
    young = [moment for moment in known if at - moment[0] <= WINDOW_S]
    if not young:
        return 0.0
    began, before = young[0]
    return round((settled - before) / max(at - began, _LEAST_S), 2)


def eta_seconds(pending: int, rate: float, *, last_due_s: float = 0.0) -> int | None:
    """How long the rest takes at this rate, rounded up; None where nobody can tell.

    last_due_s: in how many seconds the last message that waits for its time is due: a repetition,
    or the end of somebody's quiet hours.
    """
    if not pending:
        return 0
    if rate <= 0:
        return math.ceil(last_due_s) if last_due_s > 0 else None
    return math.ceil(max(pending / rate, last_due_s))
