"""The worker: leases due batches, drives slices through the pipeline, records what became of them.

One asyncio loop talks to providers. One thread leases and prepares, one journals and records, one
writes statistics, and one renews the leases; each has a database connection of its own.
Killing it at any instruction loses nothing: see queue/takeover.py and docs/deployment-model.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Executor
from datetime import timedelta
from typing import Any, TypeVar

import structlog
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from notifications.delivery.provider_calls import ProviderCalls
from notifications.delivery.services import blocked_channels
from notifications.domain.channels import ROW_CHANNELS, Lane
from notifications.engine.dispatcher import Dispatcher
from notifications.engine.runs import deliver_rows, run_network
from notifications.engine.watchdog import Watchdog, WorkerActivity
from notifications.infra import clock, ports
from notifications.infra.conf import environment
from notifications.infra.database.clock_bridge import database_now
from notifications.infra.process import identity as processes
from notifications.infra.process.wakeup_listener import WakeupListener
from notifications.policy.facts import Stops, load_stops
from notifications.queue import batches, heartbeat, takeover
from notifications.queue.lanes import LaneRotation
from notifications.queue.leases import Lease
from notifications.rendering.guard.guard import GUARD
from notifications.rendering.usage import write_usage

log = structlog.get_logger("carillon.worker")
T = TypeVar("T")
_RUNS_A_CHANNEL = 2
_SWEEP_S = 1.0
_FULL_SWEEP_S = 60.0
_COUNTS_S = 5.0
_DB_PAUSE_S = 0.5
_CLOSE_POLLS_S = 1.0
_LOOK_S = 0.02
"""Between two looks for work that is not critical: what comes in meanwhile shares one slice. Alone,
each message of a stream would cost the dozen statements that a hundred together do."""
_SWITCH_S = 0.0001
_HANGS_S = 5.0
_GC_THRESHOLDS = (20_000, 20, 50)


class Worker:
    """Delivers the messages of some lanes until it is stopped.

    owner names this process in leases, so that others on the machine can see that it has ended.
    end: ends the process when it is stuck.
    """

    def __init__(
        self,
        *,
        lanes: Sequence[Lane] | None = None,
        name: str | None = None,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self.lanes = [Lane(lane) for lane in lanes] if lanes else list(Lane)
        self.owner = name or processes.own_name("worker")
        self._turns = LaneRotation(self.lanes)
        self._after: dict[Lane, str] = {}
        self._runs: dict[asyncio.Task[None], tuple[Lane, str, bool]] = {}
        self._leases: set[Lease] = set()
        self._to_release: list[tuple[list[Lease], float]] = []
        self._told_of_hanging = self._strays = False
        self._counting: asyncio.Future[Any] | None = None
        self._stopping = ports.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        now = clock.monotonic()
        self._swept_at, self._fully_swept_at, self._counted_at = -math.inf, now, now
        self._database_ok_from = now
        self.watchdog = Watchdog(owner=self.owner, lanes=self.lanes, doing=self._doing, end=end)

    def run(self) -> None:
        """Works until `stop`; then finishes what providers have in hand and gives back the rest."""
        # At the default of 5 ms a thread that comes back from the database would wait that long for
        # the interpreter, a dozen times a transaction.
        sys.setswitchinterval(_SWITCH_S)
        # What is there now stays for good: the collector need not walk it again and again.
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        with GUARD.running():
            asyncio.run(self.main())

    def stop(self) -> None:
        """Asks the worker to drain and end. May be called from any thread or signal handler."""
        self._stopping.set()
        self.wake()

    def wake(self, lane: str = "") -> None:
        """Looks for work now. May be called from any thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed() and (not lane or lane in self.lanes):
            with contextlib.suppress(RuntimeError):  # the loop closed in between
                loop.call_soon_threadsafe(self._woken, lane)

    def _woken_for(self, lane: str) -> None:
        if lane in self.lanes:
            self._woken(lane)

    def _woken(self, lane: str) -> None:
        self._wake.set()
        if lane in ("", Lane.CRITICAL):
            self._hurry.set()

    async def main(self, *, once: bool = False) -> None:
        """The worker's life inside a running loop. `once`: return when nothing is due any more."""
        self._loop = asyncio.get_running_loop()
        self._wake, self._hurry = asyncio.Event(), asyncio.Event()
        self._db_thread = ports.one_thread("carillon-db")
        self._ledger_thread = ports.one_thread("carillon-ledger")
        # Statistics never wait on a thread that messages need.
        self._count_thread = ports.one_thread("carillon-counts")
        handover = ProviderCalls()
        self.dispatcher = Dispatcher(
            owner=self.owner,
            database=self.database,
            ledger=self.ledger,
            handover=handover,
            progress=self.watchdog.progress,
        )
        self.pulse = heartbeat.Heartbeat(
            owner=self.owner,
            lanes=self.lanes,
            leases=lambda: list(self._leases),
            on_beat=self.watchdog.look,
        )
        listener = WakeupListener(self._loop, from_thread=self.wake, from_socket=self._woken_for)
        if not once:
            listener.start()
        self.pulse.start()
        try:
            await self._loop.run_in_executor(self._count_thread, self.pulse.wait_for_first_beat)
            await self._work(once=once)
            await self._drain()
        finally:
            await self.dispatcher.close()
            await handover.close()
            self.pulse.stop()
            listener.stop()
            for thread in (self._db_thread, self._ledger_thread, self._count_thread):
                await self._loop.run_in_executor(thread, lambda: connection.close())
                thread.shutdown()

    async def database(self, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Runs a call on the thread that leases and prepares, with its one connection."""
        return await self._on(self._db_thread, call, *args, **kwargs)

    async def ledger(self, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Runs a call on the thread that journals and records, with its one connection."""
        return await self._on(self._ledger_thread, call, *args, **kwargs)

    async def _on(self, thread: Executor, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        assert self._loop is not None

        def guarded() -> T:
            try:
                return call(*args, **kwargs)
            except (DatabaseError, InterfaceError):
                close_old_connections()
                if connection.in_atomic_block is False:
                    connection.close()
                raise

        return await self._loop.run_in_executor(thread, guarded)

    async def _work(self, *, once: bool) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            self._hurry.clear()
            looked_at = clock.monotonic()
            self.dispatcher.check()
            try:
                await self._release_again()
                await self._sweep_if_due()
                found = await self._turn()
            except Exception as error:
                self._turn_failed(error)
                await self._pause(_DB_PAUSE_S)
                continue
            if found:
                continue
            if once and self._is_idle():
                return
            await self._pause(await self._until_next())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(looked_at + _LOOK_S - clock.monotonic()):
                    await self._hurry.wait()

    def _turn_failed(self, error: Exception) -> None:
        """Whatever it is, what other lanes and channels wait for must go on."""
        if isinstance(error, DatabaseError | InterfaceError):
            log.warning("database.failed", error=type(error).__name__)
            self._database_ok_from = clock.monotonic()
        else:
            log.error("turn.failed", exc_info=error)

    def _is_idle(self) -> bool:
        return not (self._runs or self._to_release or self._strays) and self.pulse.is_registered()

    async def _until_next(self) -> float:
        """Seconds until something may be due: a poll, or less where polls are far apart."""
        poll = environment().poll_seconds
        if not self.pulse.is_registered():
            return min(poll, _CLOSE_POLLS_S)
        if poll <= _CLOSE_POLLS_S:
            return poll
        now = database_now()
        due_at = await self.database(batches.next_due, self.lanes, now=now)
        return poll if due_at is None else min(poll, (due_at - now).total_seconds())

    async def _pause(self, seconds: float) -> None:
        """Waits for a wake-up, the end of a run, or the next poll."""
        waiter = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait(
                {waiter, *self._runs}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            waiter.cancel()

    async def _turn(self) -> bool:
        """Leases and starts one piece of work: the first that the lanes' turn finds.

        Only while the worker surely stands on the list of the living: a sweep finds by that list
        what a dead worker held.
        """
        if not self._may_lease():
            return False
        await self.dispatcher.admission.refresh()
        stops, waiting = await self.database(lambda: (load_stops(), batches.find_due(self.lanes)))
        if stops.everything:
            return False
        for lane in self._turns.order():
            if lane in waiting and await self._take(lane, waiting[lane], stops, isolated=False):
                return True
        if any(isolated for _, _, isolated in self._runs.values()):
            return False
        for lane in self.lanes:
            if lane in waiting and await self._take(lane, waiting[lane], stops, isolated=True):
                return True
        return False

    def _may_lease(self) -> bool:
        hangs_s = self.pulse.hanging_s()
        if hangs_s > _HANGS_S and not self._told_of_hanging:
            log.error("heartbeat.hangs", seconds=round(hangs_s, 1), leases=len(self._leases))
        self._told_of_hanging = hangs_s > _HANGS_S
        return self.pulse.is_registered()

    async def _take(
        self, lane: Lane, sources: Sequence[str], stops: Stops, *, isolated: bool
    ) -> bool:
        busy = self._busy_channels(lane)
        self._strays = True  # until the answer is there
        leases = await self.database(
            batches.lease,
            owner=self.owner,
            lane=lane,
            sources=sources,
            seconds=environment().lease_seconds,
            after_source=self._after.get(lane, ""),
            without_channels=[*busy, *stops.values("channel"), *blocked_channels()],
            without_sources=stops.values("source"),
            isolated=isolated,
        )
        self._strays = False
        if not leases:
            return False
        self._after[lane] = leases[0].source
        for channel in sorted({lease.channel for lease in leases}):
            group = [lease for lease in leases if lease.channel == channel]
            await self._start(lane, channel, group, isolated)
        return True

    async def _start(self, lane: Lane, channel: str, leases: list[Lease], isolated: bool) -> None:
        self.watchdog.progress()
        self._leases.update(leases)
        if channel in ROW_CHANNELS:
            work: Coroutine[Any, Any, float | None] = self._rows(leases)
        else:
            work = run_network(self.dispatcher, lane, channel, leases, self._stopping.is_set)
        task = asyncio.get_running_loop().create_task(self._guard(work, leases))
        self._runs[task] = (lane, channel, isolated)
        task.add_done_callback(self._ended)
        if channel in ROW_CHANNELS:
            await asyncio.wait({task})  # rows need the database thread only: nothing to overlap

    async def _rows(self, leases: list[Lease]) -> float | None:
        await self.database(deliver_rows, leases, owner=self.owner)
        self.watchdog.progress()
        return None

    async def _guard(self, work: Awaitable[float | None], leases: list[Lease]) -> None:
        """A run that ends early, or fails, records what is in flight and gives the rest back."""
        hold_s: float | None = None
        try:
            hold_s = await work
        except Exception:
            log.exception("run.failed", batches=[lease.batch_id for lease in leases])
            await asyncio.sleep(_DB_PAUSE_S)
            await self.dispatcher.wait_recorded(leases)
        finally:
            await self._give_back(leases, hold_s or 0.0)

    async def _give_back(self, leases: list[Lease], hold_s: float) -> None:
        """Gives batches back. What is not taken now, whatever the reason, is renewed and tried
        again."""
        try:
            due_at = database_now() + timedelta(seconds=hold_s) if hold_s > 0 else None
            if any(lease.open_keys or lease.stale for lease in leases):
                await self.database(batches.give_back, leases, self.owner, due_at)
        except Exception as error:
            log.warning("release.failed", error=type(error).__name__)
            self._to_release.append((leases, hold_s))
            return
        self._leases.difference_update(leases)

    async def _release_again(self) -> None:
        for _ in range(len(self._to_release)):
            leases, hold_s = self._to_release.pop(0)
            await self._give_back(leases, hold_s)
        if self._strays:
            known = [lease.batch_id for lease in self._leases]
            await self.database(batches.release_unknown, self.owner, known)
            self._strays = False

    def _ended(self, task: asyncio.Task[None]) -> None:
        lane, channel, isolated = self._runs[task]
        if isolated or channel in self._busy_channels(lane):
            self._hurry.set()  # others may have waited for this one's place
        del self._runs[task]
        self._wake.set()

    def _busy_channels(self, lane: Lane) -> list[str]:
        """Channels of a lane that have as many runs as they may; the others go on."""
        counts: dict[str, int] = {}
        for of_lane, channel, _ in list(self._runs.values()):
            if of_lane is lane:
                counts[channel] = counts.get(channel, 0) + 1
        return [channel for channel, count in counts.items() if count >= _RUNS_A_CHANNEL]

    async def _sweep_if_due(self) -> None:
        now = clock.monotonic()
        if now - self._swept_at < _SWEEP_S:
            return
        everywhere = now - self._fully_swept_at >= _FULL_SWEEP_S
        self._swept_at = now
        # In the first seconds after an outage, or after a start, living workers have not renewed.
        settled = now - self._database_ok_from >= environment().lease_seconds / 2
        await self.database(takeover.sweep, everywhere=everywhere, expired=settled)
        if everywhere and settled:  # else what an outage left would wait for another minute
            self._fully_swept_at = now
        if now - self._counted_at >= _COUNTS_S:
            self._counted_at = now
            self._count()

    def _count(self) -> None:
        """Writes statistics, unless the last ones are still being written."""
        if self._loop is not None and (self._counting is None or self._counting.done()):
            self._counting = self._loop.run_in_executor(
                self._count_thread, heartbeat.run_logged, write_usage, "counts.missed"
            )

    async def _drain(self) -> None:
        if self._runs:
            await asyncio.wait(set(self._runs))
        await self._release_again()
        self._count()
        if self._counting is not None:
            await asyncio.wait({self._counting}, timeout=_COUNTS_S)

    def _doing(self) -> WorkerActivity:
        """What the watchdog judges by; called on the heartbeat's thread."""
        return WorkerActivity(
            len(self._runs),
            self.dispatcher.waiting,
            list(self.dispatcher.calls.values()),
            {lane: [*self._busy_channels(lane), *blocked_channels()] for lane in self.lanes},
        )
