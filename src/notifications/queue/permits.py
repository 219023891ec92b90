"""Permits: how many messages of one process may be in providers' hands at once.

A permit stands for one key in a committed journal, or for one that a dispatch is about to journal.
It is freed by the commit that takes the key off the journal. A dispatch may use in advance only the
permits of outcomes that its own transaction records, so that no committed journal ever names more
than JOURNAL_LIMIT keys of a process, whatever fails.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from notifications.domain.channels import Lane
from notifications.queue.batches import JOURNAL_LIMIT

CRITICAL_RESERVE = 10
BULK_LIMIT = 75
PROVIDER_LIMIT = 75

Place = tuple[Lane, str]
"""Lane and channel."""
Exchangeable = Callable[[], Counter[Place]]


class Permits:
    """The permits of one process, counted by lane and channel.

    Ten are kept for critical; bulk and any single channel leave room for the others, so that a
    provider that hangs never blocks the rest.

    exchangeable: permits of outcomes that wait for their record, by place.
    """

    def __init__(self, exchangeable: Exchangeable = Counter) -> None:
        self._used: Counter[Place] = Counter()
        self._exchangeable = exchangeable
        self._promised = 0
        self._changed = asyncio.Event()

    @property
    def used(self) -> int:
        """Permits taken, those of dispatches under way included."""
        return self._used.total()

    def available_now(self, place: Place) -> int:
        """Permits that a place could take now without any exchange."""
        lane, channel = place
        return self._count_available(
            place, self.used, self._of_lane(lane), self._of_channel(channel)
        )

    def available(self, place: Place) -> int:
        """Permits that a place could take now, if outcomes that wait are recorded with it."""
        lane, channel = place
        waiting = self._exchangeable()
        usable = waiting.total() if lane is Lane.CRITICAL else _without_critical(waiting)
        return self._count_available(
            place,
            self.used - max(0, usable - self._promised),
            self._of_lane(lane) - sum(n for (of, _), n in waiting.items() if of is lane),
            self._of_channel(channel) - sum(n for (_, of), n in waiting.items() if of == channel),
        )

    @staticmethod
    def _count_available(place: Place, used: int, of_lane: int, of_channel: int) -> int:
        lane, _ = place
        if lane is Lane.CRITICAL:
            return max(0, JOURNAL_LIMIT - used)
        room = min(JOURNAL_LIMIT - CRITICAL_RESERVE - used, PROVIDER_LIMIT - of_channel)
        if lane is Lane.BULK:
            room = min(room, BULK_LIMIT - of_lane)
        return max(0, room)

    def _of_lane(self, lane: Lane) -> int:
        return sum(count for (of, _), count in self._used.items() if of is lane)

    def _of_channel(self, channel: str) -> int:
        return sum(count for (_, of), count in self._used.items() if of == channel)

    @asynccontextmanager
    async def reserve(
        self, wanted: int, place: Place, *, least: int = 1
    ) -> AsyncIterator[Reservation]:
        """Waits until `least` permits can be had and reserves up to `wanted` for the block.

        What the block has not committed is free again when it ends, however it ends.
        """
        least = min(least, wanted)
        while self.available(place) < least:
            self._changed.clear()
            await self._changed.wait()
        reservation = Reservation(self, place, min(wanted, self.available(place)))
        try:
            yield reservation
        finally:
            reservation.close()

    def acquire(self, place: Place, count: int) -> None:
        """Counts permits as used."""
        self._used[place] += count

    def release(self, place: Place, count: int) -> None:
        """Frees permits: their keys are off the journal, or never got there."""
        self._used[place] -= count
        self.notify_waiters()

    def promise(self, count: int) -> None:
        """Counts exchangeable permits that a dispatch relies on."""
        self._promised += count

    def notify_waiters(self) -> None:
        """Lets those look again who wait for room."""
        self._changed.set()


class Reservation:
    """Permits of one dispatch: some are its own, the others it will exchange for those of outcomes
    that it records."""

    def __init__(self, permits: Permits, place: Place, count: int) -> None:
        self.count = count
        self._permits = permits
        self.place = place
        self._own = min(count, permits.available_now(place))
        self._relied_on = count - self._own
        permits.acquire(place, self._own)
        permits.promise(self._relied_on)

    def fit(self, wanted: int, exchanged: int) -> int:
        """How many keys the dispatch may journal, given how many permits it frees itself.

        Takes more permits of its own where fewer outcomes wait than when it began.
        """
        missing = wanted - self._own - exchanged
        if missing > 0:
            more = min(missing, self._permits.available_now(self.place))
            self._permits.acquire(self.place, more)
            self._own += more
        return min(wanted, self._own + exchanged)

    def commit(self, count: int) -> None:
        """`count` keys are journalled: their permits stay used after the block."""
        kept = min(count, self._own)
        self._own -= kept
        self._permits.acquire(self.place, count - kept)

    def close(self) -> None:
        """Frees what was not committed."""
        own, self._own = self._own, 0
        relied, self._relied_on = self._relied_on, 0
        self._permits.promise(-relied)
        self._permits.release(self.place, own)


def _without_critical(waiting: Counter[Place]) -> int:
    return sum(count for (lane, _), count in waiting.items() if lane is not Lane.CRITICAL)
