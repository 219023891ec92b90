"""A run: leased batches of one lane and channel, slice by slice until nothing is open."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from notifications.delivery.registry import provider_class, provider_keys_for
from notifications.domain.channels import Channel, Lane
from notifications.domain.messages import SendResult, Verdict
from notifications.flights import Desk
from notifications.infra import clock
from notifications.pipeline import Ready, is_row_channel, journal, prepare, settle
from notifications.queue import batches
from notifications.queue.leases import Lease
from notifications.recording.outcomes import Outcome
from notifications.recording.record import record

ROW_SLICE = 500
NETWORK_SLICE = 100
_LEAST = 20  # permits worth a journal of their own, when more messages than that wait

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

    Permits are taken before the journal, so that only what may leave at once is named in it.
    """
    todo = deque(keys_of(leases).items())
    while todo and not stopping():
        careful = todo[0][1].careful
        wanted = 1 if careful else min(NETWORK_SLICE, len(todo))
        granted = await desk.permits.take(wanted, lane=lane, channel=channel, least=_LEAST)
        part = dict(todo.popleft() for _ in range(granted))
        part = {key: lease for key, lease in part.items() if not lease.lost}
        going: list[Ready] = []
        try:
            if part:
                going, back = await desk.database(_prepare, part, desk, careful=careful)
                todo.extend((item.message.id, item.lease) for item in back)
        finally:
            desk.permits.give(granted - len(going), lane=lane, channel=channel)
        desk.fly(going, lane=lane, channel=channel)
        if careful:
            await desk.landed(leases)
    await desk.landed(leases)


def _prepare(
    lease_of: dict[int, Lease], desk: Desk, *, careful: bool
) -> tuple[list[Ready], list[Ready]]:
    """On the database thread, up to the journal: what leaves, and what must be decided anew."""
    channel = next(iter(lease_of.values())).channel
    if careful:
        ((key, lease),) = lease_of.items()
        if not batches.journal_one(lease, key, desk.owner):
            return [], []
    work = prepare(channel, lease_of)
    rows = [item for item in work.ready if is_row_channel(item.provider)]
    done = work.outcomes + [row_outcome(item) for item in rows]
    if done:
        record(done, owner=desk.owner)
    leaving = [item for item in work.ready if not is_row_channel(item.provider)]
    if not leaving:
        return [], []
    going = journal(leaving, owner=desk.owner)
    names = {item.message.id for item in going}
    back = [item for item in leaving if item.message.id not in names and not item.lease.lost]
    return going, back
