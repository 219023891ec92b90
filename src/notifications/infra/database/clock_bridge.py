"""The database's clock, read on this process's monotonic one.

A reading of another clock is true at some instant between asking and being answered. Each such
bracket bounds the distance between the two clocks; what all brackets have in common bounds it
tightly, however long single answers take (the interval intersection of RFC 5905, section 11.2.1).
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime

from django.db import connection

from notifications.infra import clock

US = 1_000_000
_DRIFT = 1e-4
"""By how much two clocks may part a second: 100 parts in a million, what NTP reckons with."""


class ClockBridge:
    """Bounds of (monotonic - theirs), in seconds.

    Clocks that were set, or a database that moved, give a bracket that has nothing in common with
    the earlier ones: then only it counts.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forgets all readings: as before the first one."""
        self._bounds = (float("-inf"), float("inf"))
        self._learned_at = 0.0

    def learn(self, theirs_us: int, *, before: float, after: float) -> None:
        """Takes in a reading (Unix us) made between two instants (monotonic, s)."""
        theirs = theirs_us / US
        new_low, new_high = before - theirs, after - theirs
        grown = max(0.0, after - self._learned_at) * _DRIFT
        low, high = self._bounds
        low, high = max(low - grown, new_low), min(high + grown, new_high)
        self._bounds = (low, high) if low <= high else (new_low, new_high)
        self._learned_at = after

    def latest_monotonic(self, theirs_us: int) -> float:
        """The monotonic time (s) by which their clock shows this time, at the latest."""
        return theirs_us / US + self._bounds[1]

    def now(self) -> datetime | None:
        """What their clock shows at least, so that nothing is written as of a time to come; None
        before the first reading."""
        _, high = self._bounds
        if high == float("inf"):
            return None
        return datetime.fromtimestamp(clock.monotonic() - high, UTC)

    def uncertainty_s(self) -> float:
        """How far apart the bounds are: their clock may show a time so much earlier."""
        low, high = self._bounds
        return high - low


database_clock = ClockBridge()


def learn_reading(before: float, theirs_us: int) -> int:
    """Notes a reading of the database's clock that was asked for at `before`, and returns it."""
    database_clock.learn(theirs_us, before=before, after=clock.monotonic())
    return theirs_us


@functools.cache
def _is_machines_clock() -> bool:
    """Whether the database reads the machine's clock: SQLite does. Cached, for this is asked once a
    message, and finding a thread's connection takes longer than all the rest."""
    return connection.vendor == "sqlite"


def database_now() -> datetime:
    """The database's time, without asking it: the machine's own clock may be hours off.

    SQLite reads the machine's clock, and so does a process that has not asked PostgreSQL yet.
    """
    frozen = clock.frozen()
    if frozen is not None:
        return frozen
    if _is_machines_clock():
        return clock.now()
    return database_clock.now() or clock.now()
