"""Estimates the database's clock from the monotonic clock of this process.

A reading of another clock is true at some instant between the request and the response. Each such
interval bounds the distance of the two clocks. Their intersection bounds it tightly, however long
single responses take (the interval intersection of RFC 5905, section 11.2.1).
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime

from django.db import connection

from notifications.infra import clock

US = 1_000_000
_DRIFT = 1e-4
"""How much two clocks may drift apart per second: 100 parts in a million, as NTP assumes."""


class ClockBridge:
    """Bounds of (monotonic - theirs), in seconds.

    After a clock was set or the database moved, a reading does not overlap with the earlier ones.
    Then only the new reading counts.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Drops all readings."""
        self._bounds = (float("-inf"), float("inf"))
        self._learned_at = 0.0

    def learn(self, theirs_us: int, *, before: float, after: float) -> None:
        """Adds a reading (Unix us) made between two instants (monotonic, s)."""
        theirs = theirs_us / US
        new_low, new_high = before - theirs, after - theirs
        grown = max(0.0, after - self._learned_at) * _DRIFT
        low, high = self._bounds
        low, high = max(low - grown, new_low), min(high + grown, new_high)
        self._bounds = (low, high) if low <= high else (new_low, new_high)
        self._learned_at = after

    def latest_monotonic(self, theirs_us: int) -> float:
        """Returns the latest monotonic time (s) at which their clock shows this time."""
        return theirs_us / US + self._bounds[1]

    def now(self) -> datetime | None:
        """Returns the earliest time that their clock may show, so that nothing is written with a
        future time; None before the first reading."""
        _, high = self._bounds
        if high == float("inf"):
            return None
        return datetime.fromtimestamp(clock.monotonic() - high, UTC)

    def uncertainty_s(self) -> float:
        """Returns the distance of the bounds (s): their clock may show a time so much earlier."""
        low, high = self._bounds
        return high - low


database_clock = ClockBridge()


def learn_reading(before: float, theirs_us: int) -> int:
    """Adds a reading of the database's clock that was requested at `before`, and returns it."""
    database_clock.learn(theirs_us, before=before, after=clock.monotonic())
    return theirs_us


@functools.cache
def _is_machines_clock() -> bool:
    """Returns whether the database uses the machine's clock, as SQLite does.

    Cached: it is called for each message, and a thread's connection takes long to find.
    """
    return connection.vendor == "sqlite"


def database_now() -> datetime:
    """Returns the database's time without a query. The machine's own clock may be hours off.

    With SQLite, and before the first reading of PostgreSQL's clock, it is the machine's time.
    """
    frozen = clock.frozen()
    if frozen is not None:
        return frozen
    if _is_machines_clock():
        return clock.now()
    return database_clock.now() or clock.now()
