"""A run: leased batches of one lane and channel, slice by slice until nothing is open."""

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
_LEAST = 50  # permits worth a journal of their own, when more messages than that wait
_FRESH_S = 2.0
_TURN_S = 5.0  # how long a run waits for limits before other sources get their turn
_NAP_S = 1.0
_LOCKED_S = 0.5  # how long messages wait whose batch another transaction has locked


def keys_of(leases: Sequence[Lease]) -> dict[int, Lease]:
    """The open keys of some leases, in order, each with the lease that holds it."""
    return {key: lease for lease in leases for key in sorted(lease.open_keys)}


def deliver_rows(leases: Sequence[Lease], *, owner: str) -> None:
    """Delivers messages whose channel is a row: prepared, settled and recorded in one go.

    Nothing is journalled, because delivery and record are the same transaction; only a message that
    a worker may have died of is journalled first, so that it is named.
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

    The next messages are prepared while the ones before are in the air. Permits are taken before
    the journal, so that only what may leave within a second is named in it.

    Returns:
        how long (s) what is left should wait: until a breaker may be probed, or 0.
    """
    wait_s = 0.0
    for lease in leases:
        if lease.careful:
            await _run_carefully(dispatcher, lane, channel, lease, stopping)
    stock = _ReadyBuffer(dispatcher, [lease for lease in leases if not lease.careful])
    give_way_at = clock.monotonic() + _TURN_S
    try:
        while await stock.fill() and not stopping():
            if len(stock):
                await _dispatch(dispatcher, stock, lane, channel)
                continue
            # All that is left waits for its services.
            wait_s = stock.held_s()
            if wait_s > _TURN_S or clock.monotonic() > give_way_at:
                break
            with dispatcher.waiting_for_services():
                await asyncio.sleep(min(wait_s, _NAP_S))
            wait_s = 0.0
            stock.try_held_again()
    finally:
        await stock.close()
    await dispatcher.wait_recorded(leases)
    return wait_s


async def _dispatch(dispatcher: Dispatcher, stock: _ReadyBuffer, lane: Lane, channel: str) -> None:
    """Takes the next messages of the stock on their way, as many as there are permits for."""
    wanted = min(NETWORK_SLICE, len(stock))
    async with dispatcher.acquire_permits(wanted, lane, channel, least=_LEAST) as permits:
        left = await path.dispatch(dispatcher, permits, stock.take(permits.granted), lane)
        if left.held:
            stock.hold(left.held, left.wait_s)
        stock.put_back(left.again)
        if left.locked:
            stock.hold(left.locked, _LOCKED_S)


async def _run_carefully(
    dispatcher: Dispatcher, lane: Lane, channel: str, lease: Lease, stopping: Callable[[], bool]
) -> None:
    """A message that a worker may have died of, journalled before anything is done with it."""
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
    """Those of messages whose keys are journalled already that may leave now."""
    cleared, _ = await path.admit(dispatcher, ready, lane)
    under_way = JournalTransaction(cleared)
    try:
        await dispatcher.recorder.execute(under_way.recording, under_way.run)
    except Exception as error:
        if is_unavailable(error) or not cleared:
            raise
        await dispatcher.poison(cleared[0].lease, cleared[0].message.id, error)
        return []
    return under_way.going


class _ReadyBuffer:
    """Messages of a run that are decided and rendered, ready to leave.

    What waited too long for a permit is decided anew: a preference or a template's time may have
    changed meanwhile.
    """

    def __init__(self, dispatcher: Dispatcher, leases: Sequence[Lease]) -> None:
        self._dispatcher = dispatcher
        self._todo = deque(keys_of(leases).items())
        self._ready: deque[Ready] = deque()
        self._held: deque[Ready] = deque()
        self._held_until = 0.0
        self._next: asyncio.Task[tuple[list[Ready], list[Outcome]]] | None = None

    def __len__(self) -> int:
        return len(self._ready)

    async def fill(self) -> bool:
        """Prepares ahead; False when nothing is left of the run.

        True with nothing ready means that all that is left is held.
        """
        if self._held and clock.monotonic() >= self._held_until:
            self.try_held_again()
        while True:
            if self._next is None and self._todo and len(self._ready) < NETWORK_SLICE:
                self._next = asyncio.ensure_future(self._prepare())
            if self._ready:
                return True
            if self._next is None:
                return bool(self._held)
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

    def take(self, count: int) -> list[Ready]:
        """The next messages, up to count; stale ones go back to be decided anew."""
        fresh_from = clock.monotonic() - _FRESH_S
        taken = []
        for _ in range(min(count, len(self._ready))):
            item = self._ready.popleft()
            if item.lease.lost:
                continue
            if item.prepared_at >= fresh_from:
                taken.append(item)
            else:
                self.put_back([item])
        return taken

    def hold(self, items: Sequence[Ready], wait_s: float) -> None:
        """Keeps messages whose services take no more for now; others go on."""
        self._held.extend(items)
        self._held_until = clock.monotonic() + wait_s

    def held_s(self) -> float:
        """How long it is until held messages are worth another try."""
        return max(0.0, self._held_until - clock.monotonic())

    def try_held_again(self) -> None:
        """Lets held messages try again, before those that came after them."""
        self._ready.extendleft(reversed(self._held))
        self._held.clear()

    def put_back(self, items: Iterable[Ready]) -> None:
        """Messages that must be decided anew."""
        self._todo.extend((item.message.id, item.lease) for item in items)

    async def close(self) -> None:
        """Waits for what is being prepared; nothing of it has left or been written."""
        if self._next is not None:
            await asyncio.wait({self._next})
