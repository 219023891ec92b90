"""Delivers leased batches for a caller that waits for the results.

A session does with them what a worker does: the same run, journal and record. A worker beside it
therefore never sends the same message. Everything happens on the caller's thread and connection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from asgiref.sync import sync_to_async

from notifications.delivery.provider_calls import ProviderCalls
from notifications.domain.channels import ROW_CHANNELS, Lane
from notifications.engine.dispatcher import Dispatcher
from notifications.engine.lease_driver import LeaseDriver, by_channel
from notifications.engine.runs import run_network
from notifications.queue.leases import Lease


async def deliver_leases(leases: Sequence[Lease], *, owner: str) -> None:
    """Delivers the messages of some leases and gives back those that could not be sent yet."""
    driver = LeaseDriver(owner=owner, database=_database)
    for channel, group in by_channel(leases):
        driver.add(group)
        if channel in ROW_CHANNELS:
            await driver.deliver_rows(group)
            await driver.give_back(group, 0.0)
        else:
            await _deliver_network(driver, channel, group)
    await _database(driver.unregister)


async def _deliver_network(driver: LeaseDriver, channel: str, leases: Sequence[Lease]) -> None:
    calls = ProviderCalls()
    dispatcher = Dispatcher(owner=driver.owner, database=_database, ledger=_database, calls=calls)
    lane, wait_s = Lane(leases[0].lane), 0.0
    try:
        async with driver.renewing():
            try:
                wait_s = await run_network(dispatcher, lane, channel, leases, lambda: False)
            finally:
                await dispatcher.close()
                await calls.close()
    finally:
        await driver.give_back(leases, wait_s)


async def _database(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return await sync_to_async(call)(*args, **kwargs)
