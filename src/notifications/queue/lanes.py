"""Turns among lanes, and permits: what may be in providers' hands at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from notifications.domain.channels import Lane
from notifications.queue.batches import JOURNAL_LIMIT

CRITICAL_RESERVE = 10
BULK_LIMIT = 75
PROVIDER_LIMIT = 75
_BULK_EVERY = 8
_DEFAULT_EVERY = 4


class Turns:
    """The order in which a worker asks lanes for work.

    Strictly by priority, but every eighth turn begins with bulk and every fourth with default, so
    that neither starves behind an endless stream above it.
    """

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._lanes = [lane for lane in Lane if lane in lanes]
        self._turn = 0

    def order(self) -> list[Lane]:
        """The lanes for the next turn; the first that has work gets it."""
        self._turn += 1
        first = None
        if self._turn % _BULK_EVERY == 0:
            first = Lane.BULK
        elif self._turn % _DEFAULT_EVERY == 0:
            first = Lane.DEFAULT
        if first not in self._lanes:
            return list(self._lanes)
        critical = [lane for lane in self._lanes if lane is Lane.CRITICAL]
        others = [lane for lane in self._lanes if lane not in (first, Lane.CRITICAL)]
        return [*critical, first, *others]


class Permits:
    """Counts the keys that a process has journalled and not yet recorded.

    Never more than JOURNAL_LIMIT; ten are kept for critical, bulk and any single channel leave
    room for the others, so that a provider that hangs never blocks the rest.
    """

    def __init__(self) -> None:
        self._used = 0
        self._by_lane: Counter[Lane] = Counter()
        self._by_channel: Counter[str] = Counter()
        self._changed = asyncio.Event()

    def room(self, lane: Lane, channel: str) -> int:
        """How many permits this lane and channel could take now."""
        limit = JOURNAL_LIMIT if lane is Lane.CRITICAL else JOURNAL_LIMIT - CRITICAL_RESERVE
        room = limit - self._used
        if lane is Lane.BULK:
            room = min(room, BULK_LIMIT - self._by_lane[lane])
        if lane is not Lane.CRITICAL:
            room = min(room, PROVIDER_LIMIT - self._by_channel[channel])
        return max(0, room)

    async def take(self, wanted: int, *, lane: Lane, channel: str, least: int = 1) -> int:
        """Waits until `least` permits are free and takes up to `wanted` of them."""
        least = min(least, wanted)
        while self.room(lane, channel) < least:
            self._changed.clear()
            await self._changed.wait()
        taken = min(wanted, self.room(lane, channel))
        self._used += taken
        self._by_lane[lane] += taken
        self._by_channel[channel] += taken
        return taken

    def give(self, count: int, *, lane: Lane, channel: str) -> None:
        """Gives permits back: their keys are recorded, or never left."""
        self._used -= count
        self._by_lane[lane] -= count
        self._by_channel[channel] -= count
        self._changed.set()

    @property
    def used(self) -> int:
        return self._used
