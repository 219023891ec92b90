"""Delivering leased batches from where one stands: for callers that wait for the hand-over.

It is what a worker does with them: the same run, journal and record, so that a worker beside it
never sends the same message. Everything happens on the caller's thread and connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async

from notifications.delivery.provider_calls import ProviderCalls
from notifications.domain.channels import ROW_CHANNELS, Lane
from notifications.engine.dispatcher import Dispatcher
from notifications.engine.runs import deliver_rows, run_network
from notifications.infra.conf import environment
from notifications.infra.database.clock_bridge import database_now
from notifications.models import WorkerProcess
from notifications.queue import batches
from notifications.queue.leases import Lease

_RENEWALS = 3  # in the time of a lease


def enlist(owner: str) -> None:
    """Puts an owner on the list by which sweeps find what the dead held: in the transaction that
    leases, or before it."""
    until = database_now() + timedelta(seconds=environment().lease_seconds)
    WorkerProcess.objects.update_or_create(
        owner=owner,
        defaults={"lease_until": until},
        create_defaults={"lease_until": until, "lanes": [], "started_at": database_now()},
    )


def _strike(owner: str) -> None:
    WorkerProcess.objects.filter(owner=owner).delete()


async def deliver_leases(leases: Sequence[Lease], *, owner: str) -> None:
    """Delivers what these leases hold and gives back what could not leave yet."""
    for channel in sorted({lease.channel for lease in leases}):
        group = [lease for lease in leases if lease.channel == channel]
        if channel in ROW_CHANNELS:
            await _database(deliver_rows, group, owner=owner)
            await _give_back(group, owner=owner, wait_s=0.0)
        else:
            await _deliver_network(channel, group, owner=owner)
    await _database(_strike, owner)


async def _deliver_network(channel: str, leases: Sequence[Lease], *, owner: str) -> None:
    handover = ProviderCalls()
    dispatcher = Dispatcher(owner=owner, database=_database, ledger=_database, handover=handover)
    renewal = asyncio.get_running_loop().create_task(_renew(leases, owner))
    wait_s = 0.0
    try:
        wait_s = await run_network(dispatcher, Lane(leases[0].lane), channel, leases, lambda: False)
    finally:
        await dispatcher.close()
        await handover.close()
        renewal.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await renewal
        await _give_back(leases, owner=owner, wait_s=wait_s)


async def _renew(leases: Sequence[Lease], owner: str) -> None:
    seconds = environment().lease_seconds
    while True:
        await asyncio.sleep(seconds / _RENEWALS)
        await _database(enlist, owner)
        await _database(batches.renew, [held for held in leases if not held.lost], owner, seconds)


async def _give_back(leases: Sequence[Lease], *, owner: str, wait_s: float) -> None:
    due_at = database_now() + timedelta(seconds=wait_s) if wait_s > 0 else None
    await _database(batches.give_back, leases, owner, due_at)


async def _database(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return await sync_to_async(call)(*args, **kwargs)
