"""The worker: leases due batches, drives slices through the pipeline, records what became of them.

One asyncio loop talks to providers; one thread talks to the database; another renews the leases.
Killing it at any instruction loses nothing: see queue/takeover.py and docs/deployment-model.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import secrets
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeVar

import structlog
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from notifications.conf import environment
from notifications.delivery.handover import Handover
from notifications.delivery.services import held_channels
from notifications.domain.channels import Lane
from notifications.flights import Desk
from notifications.infra import clock, wakeups
from notifications.policy.facts import Stops, load_stops
from notifications.queue import batches, heartbeat, takeover
from notifications.queue.lanes import Turns
from notifications.queue.leases import Lease
from notifications.rendering.usage import write_usage
from notifications.runs import ROW_PROVIDER_CHANNELS, deliver_rows, run_network

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
_GC_THRESHOLDS = (20_000, 20, 50)


class Worker:
    """Delivers the messages of some lanes until it is stopped.

    owner names this process in leases: host, pid and a random word, so that a reused pid is no
    heir to the dead one's leases.
    """

    def __init__(self, *, lanes: Sequence[Lane] | None = None, name: str | None = None) -> None:
        self.lanes = [Lane(lane) for lane in lanes] if lanes else list(Lane)
        self.owner = name or f"{socket.gethostname()[:40]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._turns = Turns(self.lanes)
        self._after: dict[Lane, str] = {}
        self._runs: dict[asyncio.Task[None], tuple[Lane, str, bool]] = {}
        self._leases: set[Lease] = set()
        self._stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._swept_at = self._fully_swept_at = self._counted_at = clock.monotonic()

    # -- doors ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Works until `stop`; then finishes what providers have in hand and gives back the rest."""
        # At the default of 5 ms a thread that comes back from the database would wait that long for
        # the interpreter, a dozen times a transaction.
        sys.setswitchinterval(_SWITCH_S)
        # What is there now stays for good: the collector need not walk it again and again.
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
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

    def _woken(self, lane: str) -> None:
        self._wake.set()
        if lane in ("", Lane.CRITICAL):
            self._hurry.set()

    async def main(self, *, once: bool = False) -> None:
        """The worker's life inside a running loop. `once`: return when nothing is due any more."""
        self._loop = asyncio.get_running_loop()
        self._wake, self._hurry = asyncio.Event(), asyncio.Event()
        self._db_thread = ThreadPoolExecutor(1, thread_name_prefix="carillon-db")
        self._ledger_thread = ThreadPoolExecutor(1, thread_name_prefix="carillon-ledger")
        handover = Handover()
        self.desk = Desk(
            owner=self.owner, database=self.database, ledger=self.ledger, handover=handover
        )
        pulse = heartbeat.Heartbeat(
            owner=self.owner, lanes=self.lanes, leases=lambda: list(self._leases)
        )
        self.desk.deadline = pulse.deadline
        receiver = None if once else self._listen()
        pulse.start()
        try:
            await self._work(once=once)
            await self._drain()
        finally:
            await self.desk.close()
            await handover.close()
            pulse.stop()
            self._unlisten(receiver)
            # A lambda: `connection` is whichever belongs to the thread that asks for it.
            for thread in (self._db_thread, self._ledger_thread):
                await self._loop.run_in_executor(thread, lambda: connection.close())
                thread.shutdown()

    async def database(self, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Runs a call on the thread that leases and prepares, with its one connection."""
        return await self._on(self._db_thread, call, *args, **kwargs)

    async def ledger(self, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Runs a call on the thread that journals and records, with its one connection."""
        return await self._on(self._ledger_thread, call, *args, **kwargs)

    async def _on(
        self, thread: ThreadPoolExecutor, call: Callable[..., T], *args: Any, **kwargs: Any
    ) -> T:
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

    # -- the loop ------------------------------------------------------------------------------

    async def _work(self, *, once: bool) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            self._hurry.clear()
            looked_at = clock.monotonic()
            self.desk.check()
            try:
                await self._sweep_if_due()
                found = await self._turn()
            except (DatabaseError, InterfaceError) as error:
                log.warning("database.failed", error=type(error).__name__)
                await self._pause(_DB_PAUSE_S)
                continue
            if found:
                continue
            if once and not self._runs:
                return
            await self._pause(await self._until_next())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(looked_at + _LOOK_S - clock.monotonic()):
                    await self._hurry.wait()

    async def _until_next(self) -> float:
        """Seconds until something may be due: a poll, or less where polls are far apart."""
        poll = environment().poll_seconds
        if poll <= _CLOSE_POLLS_S:
            return poll
        now = clock.now()
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
        """Leases and starts one piece of work: the first that the lanes' turn finds."""
        await self.desk.gates.refresh()
        stops, waiting = await self.database(lambda: (load_stops(), batches.waiting(self.lanes)))
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

    async def _take(
        self, lane: Lane, sources: Sequence[str], stops: Stops, *, isolated: bool
    ) -> bool:
        busy = self._busy_channels(lane)
        leased_at = clock.monotonic()
        leases = await self.database(
            batches.lease,
            owner=self.owner,
            lane=lane,
            sources=sources,
            seconds=environment().lease_seconds,
            after_source=self._after.get(lane, ""),
            without_channels=[*busy, *stops.values("channel"), *held_channels()],
            without_sources=stops.values("source"),
            isolated=isolated,
        )
        if not leases:
            return False
        self._after[lane] = leases[0].source
        for channel in sorted({lease.channel for lease in leases}):
            group = [lease for lease in leases if lease.channel == channel]
            await self._start(lane, channel, group, isolated, leased_at)
        return True

    async def _start(
        self, lane: Lane, channel: str, leases: list[Lease], isolated: bool, leased_at: float
    ) -> None:
        for lease in leases:
            lease.leased_at = leased_at
        self._leases.update(leases)
        if channel in ROW_PROVIDER_CHANNELS:
            work: Coroutine[Any, Any, float | None] = self._rows(leases)
        else:
            work = run_network(self.desk, lane, channel, leases, self._stopping.is_set)
        task = asyncio.get_running_loop().create_task(self._guard(work, leases))
        self._runs[task] = (lane, channel, isolated)
        task.add_done_callback(self._ended)
        if channel in ROW_PROVIDER_CHANNELS:
            await asyncio.wait({task})  # rows need the database thread only: nothing to overlap

    async def _rows(self, leases: list[Lease]) -> float | None:
        await self.database(deliver_rows, leases, owner=self.owner)
        return None

    async def _guard(self, work: Awaitable[float | None], leases: list[Lease]) -> None:
        """A run that ends early, or fails, gives its batches back; what was journalled waits for
        the takeover."""
        hold_s: float | None = None
        try:
            hold_s = await work
        except Exception:
            log.exception("run.failed", batches=[lease.batch_id for lease in leases])
            await asyncio.sleep(_DB_PAUSE_S)
        finally:
            await self._give_back(leases, hold_s or 0.0)
            self._leases.difference_update(leases)

    async def _give_back(self, leases: list[Lease], hold_s: float) -> None:
        due_at = clock.now() + timedelta(seconds=hold_s) if hold_s > 0 else None
        left = [lease for lease in leases if lease.open_keys and not lease.lost]
        stale = [lease for lease in leases if lease.stale and not lease.open_keys]
        try:
            if left:
                await self.database(batches.release, left, self.owner, due_at)
            if stale:
                await self.database(batches.close_stale, stale, self.owner)
        except (DatabaseError, InterfaceError) as error:
            log.warning("release.failed", error=type(error).__name__)  # the lease will run out

    def _ended(self, task: asyncio.Task[None]) -> None:
        lane, channel, isolated = self._runs[task]
        if isolated or channel in self._busy_channels(lane):
            self._hurry.set()  # others may have waited for this one's place
        del self._runs[task]
        self._wake.set()

    def _busy_channels(self, lane: Lane) -> list[str]:
        """Channels of a lane that have as many runs as they may; the others go on."""
        counts: dict[str, int] = {}
        for of_lane, channel, _ in self._runs.values():
            if of_lane is lane:
                counts[channel] = counts.get(channel, 0) + 1
        return [channel for channel, count in counts.items() if count >= _RUNS_A_CHANNEL]

    async def _sweep_if_due(self) -> None:
        now = clock.monotonic()
        if now - self._swept_at < _SWEEP_S:
            return
        everywhere = now - self._fully_swept_at >= _FULL_SWEEP_S
        self._swept_at = now
        if everywhere:
            self._fully_swept_at = now
        await self.database(takeover.sweep, everywhere=everywhere)
        if now - self._counted_at >= _COUNTS_S:
            self._counted_at = now
            await self.database(write_usage)

    async def _drain(self) -> None:
        if self._runs:
            await asyncio.wait(set(self._runs))
        with contextlib.suppress(DatabaseError, InterfaceError):  # a count is no reason to fail
            await self.database(write_usage)

    # -- wake-ups ------------------------------------------------------------------------------

    def _listen(self) -> socket.socket | None:
        assert self._loop is not None
        wakeups.add_listener(self.wake)
        receiver = wakeups.listening_socket(f"{os.getpid()}-{secrets.token_hex(3)}")
        if receiver is not None:
            self._loop.add_reader(receiver, self._heard, receiver)
        return receiver

    def _heard(self, receiver: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                lane = receiver.recv(64).decode(errors="replace")
                if lane in self.lanes:
                    self._woken(lane)

    def _unlisten(self, receiver: socket.socket | None) -> None:
        wakeups.remove_listener(self.wake)
        if receiver is not None and self._loop is not None:
            self._loop.remove_reader(receiver)
            path = receiver.getsockname()
            receiver.close()
            with contextlib.suppress(OSError):
                os.unlink(path)
