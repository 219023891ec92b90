"""A run: leased batches of one lane and channel, slice by slice until nothing is open."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from notifications.delivery.registry import provider_class, provider_keys_for
from notifications.domain.channels import Channel, Lane
from notifications.domain.messages import SendResult, Verdict
from notifications.flights import Desk
from notifications.infra import clock
from notifications.pipeline import Ready, is_row_channel, prepare
from notifications.queue import batches
from notifications.queue.leases import Lease
from notifications.recording.outcomes import Outcome
from notifications.recording.record import record
from notifications.settlement import settle

ROW_SLICE = 500
NETWORK_SLICE = 100
PREPARED_AT_ONCE = 200
_LEAST = 50  # permits worth a journal of their own, when more messages than that wait
_FRESH_S = 2.0

ROW_PROVIDER_CHANNELS = frozenset(
    channel
    for channel in (Channel.IN_APP, Channel.WEBSOCKET)
    if provider_class(provider_keys_for(channel)[0]).capabilities.row_channel
)
"""Channels that never leave the database: a run of theirs is one function call."""


def keys_of(leases: Sequence[Lease]) -> dict[int, Lease]:
    """The open keys of some leases, in order, each with the lease that holds it."""
    return {key: lease for lease in leases for key in sorted(lease.open_keys)}


def deliver_rows(leases: Sequence[Lease], *, owner: str) -> None:
    """Delivers messages whose channel is a row: prepared, settled and recorded in one go.

    Nothing is journalled, because delivery and record are the same transaction; only a batch that
    workers died on goes one by one under the journal, so that the guilty message is named.
    """
    lease_of = keys_of([lease for lease in leases if not lease.careful])
    keys = list(lease_of)
    for start in range(0, len(keys), ROW_SLICE):
        part = {key: lease_of[key] for key in keys[start : start + ROW_SLICE]}
        _deliver_slice(part, owner=owner)
    for lease in leases:
        if lease.careful:
            for key in sorted(lease.open_keys):
                if batches.journal_one(lease, key, owner):
                    _deliver_slice({key: lease}, owner=owner)


def _deliver_slice(lease_of: dict[int, Lease], *, owner: str) -> None:
    channel = next(iter(lease_of.values())).channel
    work = prepare(channel, lease_of)
    outcomes = work.outcomes + [row_outcome(item) for item in work.ready]
    if outcomes:
        record(outcomes, owner=owner)


def row_outcome(item: Ready) -> Outcome:
    """The outcome on a row channel: it is delivered by being recorded."""
    verdict = Verdict.SENT if item.provider == "sandbox" else Verdict.DELIVERED
    name = f"sandbox-{item.outbound.reference}" if item.provider == "sandbox" else ""
    return settle(item, SendResult(verdict, provider_message_id=name), at=clock.now())


async def run_network(
    desk: Desk,
    lane: Lane,
    channel: str,
    leases: Sequence[Lease],
    stopping: Callable[[], bool],
) -> None:
    """Sends the messages of some batches through their providers.

    The next messages are prepared while the ones before are in the air. Permits are taken before
    the journal, so that only what may leave at once is named in it.
    """
    for lease in leases:
        if lease.careful:
            await _run_carefully(desk, lane, channel, lease, stopping)
    stock = _Stock(desk, [lease for lease in leases if not lease.careful])
    try:
        while await stock.fill() and not stopping():
            wanted = min(NETWORK_SLICE, len(stock))
            granted = await desk.permits.take(wanted, lane=lane, channel=channel, least=_LEAST)
            stock.put_back(await desk.depart(stock.take(granted), granted, lane, channel))
    finally:
        await stock.close()
    await desk.landed(leases)


async def _run_carefully(
    desk: Desk, lane: Lane, channel: str, lease: Lease, stopping: Callable[[], bool]
) -> None:
    """One message at a time, journalled before anything is done with it: two workers died here."""
    for key in sorted(lease.open_keys):
        if stopping() or lease.lost:
            return
        granted = await desk.permits.take(1, lane=lane, channel=channel)
        if not await desk.database(batches.journal_one, lease, key, desk.owner):
            desk.permits.give(granted, lane=lane, channel=channel)
            return
        ready, outcomes = await desk.database(_prepare, {key: lease})
        desk.note(outcomes)
        await desk.depart(ready, granted, lane, channel)
        await desk.landed([lease])


class _Stock:
    """Messages of a run that are decided and rendered, ready to leave.

    What waited too long for a permit is decided anew: a preference or a template's time may have
    changed meanwhile.
    """

    def __init__(self, desk: Desk, leases: Sequence[Lease]) -> None:
        self._desk = desk
        self._todo = deque(keys_of(leases).items())
        self._ready: deque[tuple[Ready, float]] = deque()
        self._next: asyncio.Task[tuple[list[Ready], list[Outcome]]] | None = None

    def __len__(self) -> int:
        return len(self._ready)

    async def fill(self) -> bool:
        """Prepares ahead; False when nothing is left of the run."""
        while True:
            if self._next is None and self._todo and len(self._ready) < NETWORK_SLICE:
                self._next = asyncio.ensure_future(self._prepare())
            if self._ready:
                return True
            if self._next is None:
                return False
            ready, outcomes = await self._next
            self._next = None
            self._desk.note(outcomes)
            now = clock.monotonic()
            self._ready.extend((item, now) for item in ready)

    def _prepare(self) -> Awaitable[tuple[list[Ready], list[Outcome]]]:
        count = min(PREPARED_AT_ONCE, len(self._todo))
        part = dict(self._todo.popleft() for _ in range(count))
        return self._desk.database(
            _prepare, {key: lease for key, lease in part.items() if not lease.lost}
        )

    def take(self, count: int) -> list[Ready]:
        """The next messages, up to count; stale ones go back to be decided anew."""
        fresh_from = clock.monotonic() - _FRESH_S
        taken = []
        for _ in range(min(count, len(self._ready))):
            item, prepared_at = self._ready.popleft()
            if item.lease.lost:
                continue
            if prepared_at >= fresh_from:
                taken.append(item)
            else:
                self.put_back([item])
        return taken

    def put_back(self, items: Sequence[Ready]) -> None:
        """Messages that must be decided anew."""
        self._todo.extend((item.message.id, item.lease) for item in items)

    async def close(self) -> None:
        """Waits for what is being prepared; nothing of it has left or been written."""
        if self._next is not None:
            await asyncio.wait({self._next})


def _prepare(lease_of: dict[int, Lease]) -> tuple[list[Ready], list[Outcome]]:
    """On the database thread: what may leave, and the outcomes of what goes no further."""
    if not lease_of:
        return [], []
    work = prepare(next(iter(lease_of.values())).channel, lease_of)
    rows = [item for item in work.ready if is_row_channel(item.provider)]
    leaving = [item for item in work.ready if not is_row_channel(item.provider)]
    return leaving, work.outcomes + [row_outcome(item) for item in rows]
