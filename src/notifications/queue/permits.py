"""Permits limit how many messages one process may have in flight.

A permit stands for one key in a committed journal, or for one that a dispatch is about to journal.
The commit that removes the key from the journal frees the permit. A dispatch may use in advance
only the permits of outcomes that its own transaction records. So no committed journal ever names
more than JOURNAL_LIMIT keys of a process, whatever fails.
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

    Ten are reserved for critical messages. Bulk messages and any one channel have a limit, so that
    a provider that hangs never blocks the others.

    Args:
        exchangeable: returns the permits of outcomes that wait for their record, by place.
    """

    def __init__(self, exchangeable: Exchangeable = Counter) -> None:
        self._used: Counter[Place] = Counter()
        self._exchangeable = exchangeable
        self._promised = 0
        self._changed = asyncio.Event()

    @property
    def used(self) -> int:
        """How many permits are used, including those of dispatches in progress."""
        return self._used.total()

    def available_now(self, place: Place) -> int:
        """Returns how many permits a place could acquire now without an exchange."""
        lane, channel = place
        return self._count_available(
            place, self.used, self._of_lane(lane), self._of_channel(channel)
        )

    def available(self, place: Place) -> int:
        """Returns how many permits a place could acquire now, recording the waiting outcomes."""
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
        free = min(JOURNAL_LIMIT - CRITICAL_RESERVE - used, PROVIDER_LIMIT - of_channel)
        if lane is Lane.BULK:
            free = min(free, BULK_LIMIT - of_lane)
        return max(0, free)

    def _of_lane(self, lane: Lane) -> int:
        return sum(count for (of, _), count in self._used.items() if of is lane)

    def _of_channel(self, channel: str) -> int:
        return sum(count for (_, of), count in self._used.items() if of == channel)

    @asynccontextmanager
    async def reserve(
        self, wanted: int, place: Place, *, least: int = 1
    ) -> AsyncIterator[Reservation]:
        """Waits until `least` permits are available and reserves up to `wanted` for the block.

        Permits that the block did not commit are free again when it ends, also after an error.
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
        """Frees permits whose keys are no longer in the journal, or never were."""
        self._used[place] -= count
        self.notify_waiters()

    def promise(self, count: int) -> None:
        """Counts exchangeable permits that a dispatch relies on."""
        self._promised += count

    def notify_waiters(self) -> None:
        """Makes waiting dispatches check again whether permits are available."""
        self._changed.set()


class Reservation:
    """The permits of one dispatch.

    Some are its own. The others it exchanges for the permits of outcomes that it records.
    """

    def __init__(self, permits: Permits, place: Place, count: int) -> None:
        self.count = count
        self._permits = permits
        self.place = place
        self._own = min(count, permits.available_now(place))
        self._relied_on = count - self._own
        permits.acquire(place, self._own)
        permits.promise(self._relied_on)

    def fit(self, wanted: int, exchanged: int) -> int:
        """Returns how many keys the dispatch may journal, given how many permits it frees itself.

        Acquires more permits when fewer outcomes wait than when the dispatch began.
        """
        missing = wanted - self._own - exchanged
        if missing > 0:
            more = min(missing, self._permits.available_now(self.place))
            self._permits.acquire(self.place, more)
            self._own += more
        return min(wanted, self._own + exchanged)

    def commit(self, count: int) -> None:
        """Notes that `count` keys are journalled: their permits stay used after the block."""
        used = min(count, self._own)
        self._own -= used
        self._permits.acquire(self.place, count - used)

    def close(self) -> None:
        """Frees the permits that were not committed."""
        own, self._own = self._own, 0
        relied, self._relied_on = self._relied_on, 0
        self._permits.promise(-relied)
        self._permits.release(self.place, own)


def _without_critical(waiting: Counter[Place]) -> int:
    return sum(count for (lane, _), count in waiting.items() if lane is not Lane.CRITICAL)
