"""How long background work takes the database at once, and how it lets urgent messages go first."""

from __future__ import annotations

from collections.abc import Callable

from django.db import connection

from notifications.domain.channels import Lane
from notifications.infra.database.clock_bridge import database_now
from notifications.queue import batches

STEP_S = 0.035
STEP_SQLITE_S = 0.007  # SQLite has one writer: a request may wait for this one
"""How long a step should take. It may take 50 ms, and 10 ms on SQLite: steps vary by a third."""
LONGEST_REST_S = 0.05
"""The longest pause after a step, which is otherwise as long as the step."""
_GROWTH = 4
_MEMORY = 0.8
"""What the steps before count for, step by step."""
_FLAT = 1e-4
_ROUNDING = 0.01
_URGENT_S, _LOOK_S = 0.05, 0.005
"""How long a step waits for urgent work at most, and how often it looks."""


def critical_waits() -> bool:
    """Returns whether a critical message is due that no worker has leased."""
    return batches.is_due(Lane.CRITICAL, now=database_now())


def give_way(urgent: Callable[[], bool], rest: Callable[[float], object]) -> None:
    """Waits while urgent work is there, for 50 ms at most. rest: how to pause for some seconds."""
    waited_s = 0.0
    while waited_s < _URGENT_S and urgent():
        rest(_LOOK_S)
        waited_s += _LOOK_S


def wanted_step_s() -> float:
    """Returns how many seconds one transaction of background work should take."""
    return STEP_SQLITE_S if connection.vendor == "sqlite" else STEP_S


class StepSize:
    """Chooses how many rows the next step has, so that it takes about `wanted_step_s`.

    A step has costs of its own (its statements, a busy machine), which may last longer than the
    whole step should. Fewer rows do not shorten those. So they are estimated apart, by a line
    through the last steps, and the rows of a step may always take as long as they do. Without
    this, a slow machine would end at one row a step, and old rows would grow faster than they go.
    """

    def __init__(self, first: int, *, most: int) -> None:
        self.rows = first
        self._most = most
        #: Weighted sums of 1, rows, seconds, rows squared, and rows times seconds.
        self._sums = [0.0] * 5

    def add(self, seconds: float) -> int:
        """Takes how long a step of `rows` rows took; returns the rows of the next.

        A step is at most four times as large as the one before.
        """
        rows = self.rows
        values = (1.0, float(rows), seconds, float(rows * rows), rows * seconds)
        self._sums = [old * _MEMORY + new for old, new in zip(self._sums, values, strict=True)]
        own_s, row_s = self._costs()
        wanted_s = wanted_step_s()
        allowed_s = max(wanted_s - own_s, own_s)
        wished = allowed_s / row_s if row_s > 0 else rows * _GROWTH
        self.rows = max(1, min(self._most, rows * _GROWTH, int(wished + _ROUNDING)))
        return self.rows

    def _costs(self) -> tuple[float, float]:
        """Returns the seconds of a step without rows, and of each row."""
        weight, rows, seconds, squares, products = self._sums
        spread = weight * squares - rows * rows
        if spread <= _FLAT * rows * rows:  # all steps had about as many rows
            return 0.0, seconds / rows
        row_s = max(0.0, (weight * products - rows * seconds) / spread)
        return max(0.0, (seconds - row_s * rows) / weight), row_s
