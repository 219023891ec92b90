"""The worker process: it starts, looks for work, sweeps, drains and stops.

One asyncio loop calls providers. One thread leases and prepares, one journals and records, one
writes statistics, and one renews the leases. Each has a database connection of its own.
A kill at any instruction loses nothing: see queue/takeover.py and docs/deployment-model.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any, TypeVar

import structlog
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from notifications.delivery.provider_calls import ProviderCalls
from notifications.domain.channels import Lane
from notifications.engine.dispatcher import Dispatcher
from notifications.engine.lease_driver import LaneDriver
from notifications.engine.watchdog import Watchdog, WorkerActivity
from notifications.infra import clock, ports
from notifications.infra.conf import environment
from notifications.infra.database.clock_bridge import database_now
from notifications.infra.process import identity as processes
from notifications.infra.process.interpreter import tune_interpreter
from notifications.infra.process.wakeup_listener import WakeupListener
from notifications.models import InstallationState
from notifications.queue import batches, quiet, takeover
from notifications.queue.heartbeat import Heartbeat, run_logged
from notifications.rendering.guard.guard import GUARD
from notifications.rendering.usage import write_usage

log = structlog.get_logger("carillon.worker")
T = TypeVar("T")
_SWEEP_S = 1.0
_FULL_SWEEP_S = 60.0
_COUNTS_S = 5.0
_DB_PAUSE_S = 0.5
_QUIET_TURN_S = 30.0
"""Seconds between the turns of a worker that looks for work and finds none."""
_CLOSE_POLLS_S = 1.0
_CHECK_S = 0.02
"""Between two checks for work that is not critical. Messages that arrive meanwhile share one slice.
A message alone costs the same dozen statements as a hundred messages together."""
_HANGS_S = 5.0


class Worker:
    """Delivers the messages of some lanes until it is stopped.

    Args:
        name: the owner in leases. Others on the machine can see by it whether the process ended.
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
        self._hang_reported = False
        self._counting: asyncio.Future[Any] | None = None
        self._stopping = ports.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        now = clock.monotonic()
        self._swept_at, self._fully_swept_at, self._counted_at = -math.inf, now, now
        self._database_ok_from = now
        self._rests, self._turned_at, self._active_at = False, now, now
        self.watchdog = Watchdog(
            owner=self.owner, lanes=self.lanes, activity=self._activity, end=end
        )

    def run(self) -> None:
        """Works until `stop`. Then waits for the messages in flight and gives back the others."""
        tune_interpreter()
        with GUARD.running():
            asyncio.run(self.main())

    def stop(self) -> None:
        """Makes the worker drain and end. May be called from any thread or signal handler."""
        self._stopping.set()
        self.wake()

    def wake(self, lane: str = "") -> None:
        """Makes the worker check for work now. May be called from any thread."""
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
            self._urgent.set()

    async def main(self, *, once: bool = False) -> None:
        """Runs the worker inside a running loop. `once`: return when nothing is due any more."""
        self._loop = asyncio.get_running_loop()
        self._wake, self._urgent = asyncio.Event(), asyncio.Event()
        self._db_thread = ports.one_thread("carillon-db")
        self._ledger_thread = ports.one_thread("carillon-ledger")
        # Statistics never wait on a thread that messages need.
        self._count_thread = ports.one_thread("carillon-counts")
        calls = ProviderCalls()
        self.dispatcher = Dispatcher(
            owner=self.owner,
            database=self.database,
            ledger=self.ledger,
            calls=calls,
            progress=self.watchdog.progress,
        )
        self.driver = LaneDriver(
            owner=self.owner,
            lanes=self.lanes,
            database=self.database,
            dispatcher=self.dispatcher,
            stopping=self._stopping.is_set,
            progress=self.watchdog.progress,
            on_end=self._run_ended,
        )
        self.heartbeat = Heartbeat(
            renew=self.driver.renew,
            unregister=self.driver.unregister,
            on_beat=self.watchdog.check,
        )
        listener = WakeupListener(self._loop, from_thread=self.wake, from_socket=self._woken_for)
        if not once:
            listener.start()
        self.heartbeat.start()
        try:
            await self._loop.run_in_executor(self._count_thread, self.heartbeat.wait_for_first_beat)
            await self._check_settled()
            await self._work(once=once)
            await self._drain()
        finally:
            await self.dispatcher.close()
            await calls.close()
            self.heartbeat.stop()
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

    async def _check_settled(self) -> None:
        """Waits until the database says that the installation may send.

        Raises:
            NotSettled: it was restored, and what was open is not settled.
        """
        while not self._stopping.is_set():
            try:
                await self.database(InstallationState.objects.check_settled)
            except (DatabaseError, InterfaceError) as error:
                self._turn_failed(error)
                await self._pause(_DB_PAUSE_S)
            else:
                return

    async def _work(self, *, once: bool) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            self._urgent.clear()
            checked_at = clock.monotonic()
            self.dispatcher.check()
            try:
                rest_s = await self._rest_s() if self._rests else 0.0
                if rest_s:
                    self._rests = not await self._pause(rest_s)
                    continue
                self._turned_at = checked_at
                if not self._rests:
                    self._active_at = checked_at
                await self.driver.retry_give_back()
                await self._sweep_if_due()
                found = self._may_lease() and await self.driver.start_next()
            except Exception as error:
                self._turn_failed(error)
                await self._pause(_DB_PAUSE_S)
                continue
            if found:
                continue
            if once and self.driver.is_idle() and self.heartbeat.is_registered():
                return
            self._rests = not await self._pause(await self._until_next()) and self._is_idle()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(checked_at + _CHECK_S - clock.monotonic()):
                    await self._urgent.wait()

    def _turn_failed(self, error: Exception) -> None:
        """Logs any error: the next turn must come, for the other lanes and channels."""
        if isinstance(error, DatabaseError | InterfaceError):
            log.warning("database.failed", error=type(error).__name__)
            self._database_ok_from = clock.monotonic()
        else:
            log.error("turn.failed", exc_info=error)

    async def _until_next(self) -> float:
        """Returns the seconds until a batch may be due, at most those of a poll."""
        poll = environment().poll_seconds
        if not self.heartbeat.is_registered():
            return min(poll, _CLOSE_POLLS_S)
        if poll <= _CLOSE_POLLS_S:
            return poll
        now = database_now()
        due_at = await self.database(batches.next_due, self.lanes, now=now)
        return poll if due_at is None else min(poll, (due_at - now).total_seconds())

    def _is_idle(self) -> bool:
        return self.driver.is_idle() and self.heartbeat.is_registered()

    async def _rest_s(self) -> float:
        """Returns how long an idle worker needs no turn; 0 where it needs one.

        After work it gets turns until the statistics of the work are written.
        """
        longest_s = _QUIET_TURN_S if self._counted_at > self._active_at else _COUNTS_S
        if clock.monotonic() - self._turned_at >= longest_s:
            return 0.0
        found: quiet.Look = await self.database(
            quiet.look,
            self.lanes,
            owner=self.owner,
            now=database_now(),
            poll_s=environment().poll_seconds,
        )
        if found.rest_s and found.has_others:
            await self._sweep_if_due()
        return found.rest_s

    async def _pause(self, seconds: float) -> bool:
        """Waits for a wake-up, the end of a run, or the next poll. Returns whether it was woken."""
        waiter = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait(
                {waiter, *self.driver.tasks}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            return self._wake.is_set()
        finally:
            waiter.cancel()

    def _may_lease(self) -> bool:
        """Whether sweeps would find the batches of this worker if it died."""
        hanging_s = self.heartbeat.hanging_s()
        if hanging_s > _HANGS_S and not self._hang_reported:
            log.error(
                "heartbeat.hangs", seconds=round(hanging_s, 1), leases=self.driver.lease_count
            )
        self._hang_reported = hanging_s > _HANGS_S
        return self.heartbeat.is_registered()

    def _run_ended(self, others_waited: bool) -> None:
        if others_waited:
            self._urgent.set()
        self._wake.set()

    async def _sweep_if_due(self) -> None:
        now = clock.monotonic()
        if now - self._swept_at < _SWEEP_S:
            return
        everywhere = now - self._fully_swept_at >= _FULL_SWEEP_S
        self._swept_at = now
        # Shortly after an outage or a start, living workers have not renewed their leases yet.
        settled = now - self._database_ok_from >= environment().lease_seconds / 2
        await self.database(takeover.sweep, everywhere=everywhere, expired=settled)
        if everywhere and settled:  # otherwise batches of before an outage wait for another minute
            self._fully_swept_at = now
        if now - self._counted_at >= _COUNTS_S:
            self._counted_at = now
            self._count()

    def _count(self) -> None:
        """Writes statistics, unless the last ones are still being written."""
        if self._loop is not None and (self._counting is None or self._counting.done()):
            self._counting = self._loop.run_in_executor(
                self._count_thread, run_logged, write_usage, "counts.missed"
            )

    async def _drain(self) -> None:
        if self.driver.tasks:
            await asyncio.wait(self.driver.tasks)
        await self.driver.retry_give_back()
        self._count()
        if self._counting is not None:
            await asyncio.wait({self._counting}, timeout=_COUNTS_S)

    def _activity(self) -> WorkerActivity:
        """Returns what the watchdog needs. Called on the heartbeat's thread."""
        return WorkerActivity(
            self.driver.run_count,
            self.dispatcher.waiting,
            list(self.dispatcher.call_starts.values()),
            {lane: self.driver.closed_channels(lane) for lane in self.lanes},
        )
