"""The leases of one owner: batches are leased, delivered, renewed meanwhile, and given back.

`LaneDriver` serves a worker: it leases lane by lane and runs several batches side by side.
`deliver_leases` serves a caller that waits for the results. It does what a worker does: the same
run, journal and record. A worker beside it therefore never sends the same message.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import structlog
from asgiref.sync import sync_to_async

from notifications.delivery.provider_calls import ProviderCalls
from notifications.delivery.services import blocked_channels
from notifications.domain.channels import ROW_CHANNELS, Lane
from notifications.engine.dispatcher import Dispatcher
from notifications.engine.runs import deliver_rows, run_network
from notifications.infra.conf import environment
from notifications.infra.database.clock_bridge import database_now
from notifications.models import WorkerProcess
from notifications.policy.facts import Stops, load_stops
from notifications.queue import batches
from notifications.queue.lanes import LaneRotation
from notifications.queue.leases import Lease

log = structlog.get_logger("carillon.worker")
Database = Callable[..., Awaitable[Any]]
RETRY_S = 0.5
"""How long a run that failed waits before its batches are given back."""
_RUNS_PER_CHANNEL = 2
_RENEWALS_PER_LEASE = 3


def register_process(owner: str, lanes: Sequence[Lane] = ()) -> None:
    """Extends the owner's entry in the list of processes by the time of a lease.

    Sweeps find the batches of dead owners by that list. An owner therefore registers in the
    transaction that leases, or before it.
    """
    until = database_now() + timedelta(seconds=environment().lease_seconds)
    if not WorkerProcess.objects.filter(owner=owner).update(lease_until=until):
        WorkerProcess.objects.get_or_create(
            owner=owner,
            defaults={
                "lease_until": until,
                "lanes": [str(lane) for lane in lanes],
                "started_at": database_now(),
            },
        )


def by_channel(leases: Sequence[Lease]) -> Iterator[tuple[str, list[Lease]]]:
    """Yields the channels of some leases in order, each with its leases."""
    for channel in sorted({lease.channel for lease in leases}):
        yield channel, [lease for lease in leases if lease.channel == channel]


class LeaseDriver:
    """Renews leases, delivers row channels, and gives batches back, for one owner.

    Args:
        database: runs a call on the thread that prepares.
    """

    def __init__(self, *, owner: str, database: Database, lanes: Sequence[Lane] = ()) -> None:
        self.owner = owner
        self.lanes = list(lanes)
        self._database = database
        self._leases: set[Lease] = set()

    @property
    def lease_count(self) -> int:
        """How many batches this owner holds."""
        return len(self._leases)

    @property
    def leases(self) -> frozenset[Lease]:
        """The leases that it has."""
        return frozenset(self._leases)

    def add(self, leases: Iterable[Lease]) -> None:
        """Adds leases: they are renewed until they are given back."""
        self._leases.update(leases)

    def renew(self) -> None:
        """Renews the registration and the leases of this owner, on the caller's thread.

        A lost lease belongs to another owner. An abandoned one must run out.
        """
        register_process(self.owner, self.lanes)
        held = [lease for lease in list(self._leases) if not (lease.lost or lease.abandoned)]
        if held:
            batches.renew(held, self.owner, environment().lease_seconds)

    def unregister(self) -> None:
        """Removes the owner from the list of processes, on the caller's thread.

        An owner that still holds batches stays listed, so that the sweep finds them. So does one
        that ended itself: its row says why.
        """
        if not self._leases:
            WorkerProcess.objects.filter(owner=self.owner, ended_at__isnull=True).delete()

    @contextlib.asynccontextmanager
    async def renewing(self) -> AsyncIterator[None]:
        """Renews the leases within the block, three times in the life of a lease."""
        renewal = asyncio.get_running_loop().create_task(self._renew_repeatedly())
        try:
            yield
        finally:
            renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewal

    async def _renew_repeatedly(self) -> None:
        while True:
            await asyncio.sleep(environment().lease_seconds / _RENEWALS_PER_LEASE)
            await self._database(self.renew)

    async def deliver_rows(self, leases: Sequence[Lease]) -> None:
        """Delivers batches of a row channel."""
        await self._database(deliver_rows, leases, owner=self.owner)

    async def give_back(self, leases: Sequence[Lease], wait_s: float) -> None:
        """Gives batches back. What is still open in them is due again in `wait_s` seconds."""
        due_at = database_now() + timedelta(seconds=wait_s) if wait_s > 0 else None
        if any(lease.open_keys or lease.stale for lease in leases):
            await self._database(batches.give_back, leases, self.owner, due_at)
        self._leases.difference_update(leases)


class _Run(NamedTuple):
    lane: Lane
    channel: str
    isolated: bool


class LaneDriver(LeaseDriver):
    """Leases the due batches of some lanes and runs them side by side.

    Args:
        stopping: whether the process is to end. Runs then send nothing new.
        progress: called whenever batches were leased or delivered.
        on_end: called when a run ends, with whether other batches may have waited for its place.
    """

    def __init__(
        self,
        *,
        owner: str,
        lanes: Sequence[Lane],
        database: Database,
        dispatcher: Dispatcher,
        stopping: Callable[[], bool],
        progress: Callable[[], None],
        on_end: Callable[[bool], None],
    ) -> None:
        super().__init__(owner=owner, database=database, lanes=lanes)
        self._dispatcher = dispatcher
        self._stopping = stopping
        self._progress = progress
        self._on_end = on_end
        self._rotation = LaneRotation(self.lanes)
        self._last_source: dict[Lane, str] = {}
        self._runs: dict[asyncio.Task[None], _Run] = {}
        self._not_given_back: list[tuple[list[Lease], float]] = []
        self._lease_unanswered = False

    @property
    def run_count(self) -> int:
        """How many runs are under way. Read from any thread."""
        return len(self._runs)

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """The runs under way."""
        return set(self._runs)

    def is_idle(self) -> bool:
        """Whether nothing runs and every batch was given back."""
        return not (self._runs or self._not_given_back or self._lease_unanswered)

    def closed_channels(self, lane: Lane) -> list[str]:
        """The channels of a lane that may not be leased now. Called from any thread."""
        return [*self._busy_channels(lane), *blocked_channels()]

    async def start_next(self) -> bool:
        """Leases due batches and starts their runs. Returns whether it found any.

        The first lane of the rotation that has work gets it. Isolated batches come last, and one
        at a time.
        """
        await self._dispatcher.admission.refresh()
        stops, due = await self._database(lambda: (load_stops(), batches.find_due(self.lanes)))
        if stops.everything:
            return False
        for lane in self._rotation.order():
            if lane in due and await self._start_due(lane, due[lane], stops, isolated=False):
                return True
        if any(run.isolated for run in self._runs.values()):
            return False
        for lane in self.lanes:
            if lane in due and await self._start_due(lane, due[lane], stops, isolated=True):
                return True
        return False

    async def _start_due(
        self, lane: Lane, sources: Sequence[str], stops: Stops, *, isolated: bool
    ) -> bool:
        closed = self.closed_channels(lane)
        self._lease_unanswered = True
        leases = await self._database(
            batches.lease,
            owner=self.owner,
            lane=lane,
            sources=sources,
            seconds=environment().lease_seconds,
            after_source=self._last_source.get(lane, ""),
            without_channels=[*closed, *stops.values("channel")],
            without_sources=stops.values("source"),
            isolated=isolated,
        )
        self._lease_unanswered = False
        if not leases:
            return False
        self._last_source[lane] = leases[0].source
        for channel, group in by_channel(leases):
            await self._start(_Run(lane, channel, isolated), group)
        return True

    async def _start(self, run: _Run, leases: list[Lease]) -> None:
        self._progress()
        self.add(leases)
        task = asyncio.get_running_loop().create_task(self._deliver(run, leases))
        self._runs[task] = run
        task.add_done_callback(self._ended)
        if run.channel in ROW_CHANNELS:
            await asyncio.wait({task})  # rows need the database thread only: nothing to overlap

    async def _deliver(self, run: _Run, leases: list[Lease]) -> None:
        """Delivers batches and gives them back. A run that fails first records what is in
        flight."""
        wait_s = 0.0
        try:
            if run.channel in ROW_CHANNELS:
                await self.deliver_rows(leases)
                self._progress()
            else:
                wait_s = await run_network(
                    self._dispatcher, run.lane, run.channel, leases, self._stopping
                )
        except Exception:
            log.exception("run.failed", batches=[lease.batch_id for lease in leases])
            await asyncio.sleep(RETRY_S)
            await self._dispatcher.wait_recorded(leases)
        finally:
            await self._give_back_or_retry(leases, wait_s)

    async def _give_back_or_retry(self, leases: list[Lease], wait_s: float) -> None:
        """Gives batches back. Those that the database refuses now are renewed and given back
        later."""
        try:
            await self.give_back(leases, wait_s)
        except Exception as error:
            log.warning("release.failed", error=type(error).__name__)
            self._not_given_back.append((leases, wait_s))

    async def retry_give_back(self) -> None:
        """Gives back what could not be given back before.

        A lease whose response was lost may have leased batches that this process does not know.
        They are given back too.
        """
        for _ in range(len(self._not_given_back)):
            leases, wait_s = self._not_given_back.pop(0)
            await self._give_back_or_retry(leases, wait_s)
        if self._lease_unanswered:
            known = [lease.batch_id for lease in self._leases]
            await self._database(batches.release_unknown, self.owner, known)
            self._lease_unanswered = False

    def _ended(self, task: asyncio.Task[None]) -> None:
        run = self._runs[task]
        others_waited = run.isolated or run.channel in self._busy_channels(run.lane)
        del self._runs[task]
        self._on_end(others_waited)

    def _busy_channels(self, lane: Lane) -> list[str]:
        """Channels of a lane that have as many runs as they may have. Other channels continue."""
        counts: dict[str, int] = {}
        for run in list(self._runs.values()):
            if run.lane is lane:
                counts[run.channel] = counts.get(run.channel, 0) + 1
        return [channel for channel, count in counts.items() if count >= _RUNS_PER_CHANNEL]


async def deliver_leases(leases: Sequence[Lease], *, owner: str) -> None:
    """Delivers the messages of some leases and gives back those that could not be sent yet.

    Everything happens on the caller's thread and connection.
    """
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
