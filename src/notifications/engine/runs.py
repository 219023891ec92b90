"""A run delivers leased batches of one lane and channel, slice by slice, until none is open."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence

from notifications.domain.channels import Lane
from notifications.engine import path
from notifications.engine.dispatcher import Dispatcher
from notifications.engine.journal import JournalTransaction
from notifications.engine.values import Ready
from notifications.infra import clock
from notifications.infra.database.errors import is_unavailable
from notifications.queue import batches
from notifications.queue.leases import Lease
from notifications.recording.outcomes import Outcome

ROW_SLICE = 500
NETWORK_SLICE = 100
PREPARED_AT_ONCE = 200
_LEAST = 50  # a dispatch waits for so many permits, when more messages than that wait
_FRESH_S = 2.0
_TURN_S = 5.0  # after so long a wait for limits, a run lets other sources run
_WAIT_STEP_S = 1.0
_LOCKED_S = 0.5  # how long messages of a locked batch wait


def keys_of(leases: Sequence[Lease]) -> dict[int, Lease]:
    """Returns the open keys of some leases in order, each with its lease."""
    return {key: lease for lease in leases for key in sorted(lease.open_keys)}


def deliver_rows(leases: Sequence[Lease], *, owner: str) -> None:
    """Delivers messages on a row channel: prepares, settles and records them in one call.

    Nothing is journalled, because one transaction delivers and records. Only a message that may
    have ended a worker is journalled first, so that the next takeover finds it.
    """
    lease_of = keys_of([lease for lease in leases if not lease.careful])
    keys = list(lease_of)
    for start in range(0, len(keys), ROW_SLICE):
        part = {key: lease_of[key] for key in keys[start : start + ROW_SLICE]}
        path.deliver_row_slice(part, owner=owner)
    for lease in leases:
        if lease.careful:
            for key in sorted(lease.open_keys):
                if batches.journal_one(lease, key, owner):
                    path.deliver_row_slice({key: lease}, owner=owner)


async def run_network(
    dispatcher: Dispatcher,
    lane: Lane,
    channel: str,
    leases: Sequence[Lease],
    stopping: Callable[[], bool],
) -> float:
    """Sends the messages of some batches through their providers.

    The next messages are prepared while the previous ones are in flight. Permits are acquired
    before the journal is written, so that it names only messages that are sent within a second.

    Returns:
        how long (s) the remaining messages should wait, e.g. until a breaker may be probed, or 0.
    """
    wait_s = 0.0
    for lease in leases:
        if lease.careful:
            await _run_carefully(dispatcher, lane, channel, lease, stopping)
    buffer = _ReadyBuffer(dispatcher, [lease for lease in leases if not lease.careful])
    end_turn_at = clock.monotonic() + _TURN_S
    try:
        while await buffer.fill() and not stopping():
            if len(buffer):
                await _dispatch(dispatcher, buffer, lane, channel)
                continue
            # All remaining messages wait for their services.
            wait_s = buffer.wait_s()
            if wait_s > _TURN_S or clock.monotonic() > end_turn_at:
                break
            with dispatcher.waiting_for_services():
                await asyncio.sleep(min(wait_s, _WAIT_STEP_S))
            wait_s = 0.0
            buffer.release_deferred()
    finally:
        await buffer.close()
    await dispatcher.wait_recorded(leases)
    return wait_s


async def _dispatch(dispatcher: Dispatcher, buffer: _ReadyBuffer, lane: Lane, channel: str) -> None:
    """Dispatches the next messages of the buffer, as many as there are permits for."""
    wanted = min(NETWORK_SLICE, len(buffer))
    async with dispatcher.acquire_permits(wanted, lane, channel, least=_LEAST) as permits:
        unsent = await path.dispatch(dispatcher, permits, buffer.pop(permits.granted), lane)
        if unsent.held:
            buffer.defer(unsent.held, unsent.wait_s)
        buffer.decide_again(unsent.again)
        if unsent.locked:
            buffer.defer(unsent.locked, _LOCKED_S)


async def _run_carefully(
    dispatcher: Dispatcher, lane: Lane, channel: str, lease: Lease, stopping: Callable[[], bool]
) -> None:
    """Journals each message before anything else is done with it, because it may end the worker."""
    for key in sorted(lease.open_keys):
        if stopping() or lease.lost:
            return
        async with dispatcher.acquire_permits(1, lane, channel) as permits:
            permits.commit_one()
        try:
            if not await dispatcher.database(batches.journal_one, lease, key, dispatcher.owner):
                dispatcher.recorder.unjournal(lease, key)
                return
            ready, outcomes = await dispatcher.database(
                path.prepare_for_providers, {key: lease}, dispatcher.owner
            )
            going = await _journalled(dispatcher, ready, lane)
        except BaseException:
            dispatcher.recorder.unjournal(lease, key)
            raise
        for outcome in outcomes:
            outcome.in_flight = True
        dispatcher.register(outcomes)
        dispatcher.abandon(item for item in ready if item not in going and key in lease.open_keys)
        dispatcher.dispatch(going)
        if not lease.unrecorded:
            dispatcher.recorder.unjournal(lease, key)
        await dispatcher.wait_recorded([lease])


async def _journalled(dispatcher: Dispatcher, ready: Sequence[Ready], lane: Lane) -> list[Ready]:
    """Returns the messages that may be sent now; the caller has journalled their keys."""
    admitted, _ = await path.admit(dispatcher, ready, lane)
    journal = JournalTransaction(admitted)
    try:
        await dispatcher.recorder.execute(journal.recording, journal.run)
    except Exception as error:
        if is_unavailable(error) or not admitted:
            raise
        await dispatcher.poison(admitted[0].lease, admitted[0].message.id, error)
        return []
    return journal.going


class _ReadyBuffer:
    """The messages of a run that are decided, rendered and ready to be sent.

    A message that waited too long for a permit is decided again, because a preference may have
    changed meanwhile.
    """

    def __init__(self, dispatcher: Dispatcher, leases: Sequence[Lease]) -> None:
        self._dispatcher = dispatcher
        self._todo = deque(keys_of(leases).items())
        self._ready: deque[Ready] = deque()
        self._deferred: deque[Ready] = deque()
        self._deferred_until = 0.0
        self._next: asyncio.Task[tuple[list[Ready], list[Outcome]]] | None = None

    def __len__(self) -> int:
        return len(self._ready)

    async def fill(self) -> bool:
        """Prepares the next messages. Returns False when the run has no messages left.

        When it returns True and the buffer is empty, all remaining messages are deferred.
        """
        if self._deferred and clock.monotonic() >= self._deferred_until:
            self.release_deferred()
        while True:
            if self._next is None and self._todo and len(self._ready) < NETWORK_SLICE:
                self._next = asyncio.ensure_future(self._prepare())
            if self._ready:
                return True
            if self._next is None:
                return bool(self._deferred)
            ready, outcomes = await self._next
            self._next = None
            self._dispatcher.register(outcomes)
            now = clock.monotonic()
            for item in ready:
                item.prepared_at = now
            self._ready.extend(ready)

    def _prepare(self) -> Awaitable[tuple[list[Ready], list[Outcome]]]:
        count = min(PREPARED_AT_ONCE, len(self._todo))
        part = dict(self._todo.popleft() for _ in range(count))
        wanted = {key: lease for key, lease in part.items() if not lease.lost}
        return self._dispatcher.database(path.prepare_for_providers, wanted, self._dispatcher.owner)

    def pop(self, count: int) -> list[Ready]:
        """Removes and returns up to `count` messages. Stale messages are decided again."""
        fresh_from = clock.monotonic() - _FRESH_S
        fresh = []
        for _ in range(min(count, len(self._ready))):
            item = self._ready.popleft()
            if item.lease.lost:
                continue
            if item.prepared_at >= fresh_from:
                fresh.append(item)
            else:
                self.decide_again([item])
        return fresh

    def defer(self, items: Sequence[Ready], wait_s: float) -> None:
        """Stores messages whose services accept none now; the others continue."""
        self._deferred.extend(items)
        self._deferred_until = clock.monotonic() + wait_s

    def wait_s(self) -> float:
        """Returns the seconds until deferred messages are worth another attempt."""
        return max(0.0, self._deferred_until - clock.monotonic())

    def release_deferred(self) -> None:
        """Makes deferred messages ready again, before all others."""
        self._ready.extendleft(reversed(self._deferred))
        self._deferred.clear()

    def decide_again(self, items: Iterable[Ready]) -> None:
        """Adds messages that must be decided again."""
        self._todo.extend((item.message.id, item.lease) for item in items)

    async def close(self) -> None:
        """Waits for the preparation in progress. None of its messages was sent or written."""
        if self._next is not None:
            await asyncio.wait({self._next})
