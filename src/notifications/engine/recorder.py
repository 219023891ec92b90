"""The recorder writes outcomes soon after they are known, and frees their permits.

Outcomes that arrive while a transaction runs go together into the next record or the next dispatch.
None waits longer than one transaction. The recorder never drops an outcome. It waits while the
database is unavailable. It leaves a locked row for later. When the database refuses a record, it
finds the one message that causes the refusal.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import structlog

from notifications.delivery.base import where
from notifications.domain.channels import Lane
from notifications.infra import clock
from notifications.infra.database.errors import is_locked, is_unavailable
from notifications.queue import batches
from notifications.queue.leases import Lease
from notifications.queue.permits import Permits, Place
from notifications.recording.late_results import resolve_uncertain
from notifications.recording.outcomes import Outcome, bare
from notifications.recording.record import Recording, run, was_committed

log = structlog.get_logger("carillon.recorder")
Ledger = Callable[..., Awaitable[Any]]
RETRY_S = 0.2
GATHER_S = 0.05
_CHECK_S = 1.0


def place_of(lease: Lease) -> Place:
    """Returns the lane and channel in which the permits of a lease are counted."""
    return Lane(lease.lane), lease.channel


class Recorder:
    """Stores the outcomes of one worker until a loop has recorded them.

    Args:
        ledger: runs a call on the thread that journals and records.
        progress: called after each commit.
    """

    def __init__(
        self, *, owner: str, ledger: Ledger, progress: Callable[[], None] = lambda: None
    ) -> None:
        self.owner = owner
        self.permits = Permits(self._exchangeable)
        self._ledger = ledger
        self._progress = progress
        self._waiting: list[Outcome] = []
        self._not_sent: dict[Lease, set[int]] = {}
        self._abandoned: dict[Lease, int] = {}
        self._arrived = asyncio.Event()
        self._recorded = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(lambda _: self._recorded.set())

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Adds outcomes to be recorded. Outcomes in flight hold their permits until the commit."""
        for outcome in outcomes:
            self._waiting.append(outcome)
        if self._waiting:
            self._arrived.set()
            self.permits.notify_waiters()

    def register(self, outcomes: Sequence[Outcome]) -> None:
        """Adds outcomes that their leases do not count yet."""
        for outcome in outcomes:
            outcome.lease.unrecorded += 1
        self.add(outcomes)

    def pop_waiting(self) -> list[Outcome]:
        """Removes and returns the waiting outcomes, for a transaction of the caller, who then
        calls `finish_commit` or `requeue`."""
        taken, self._waiting = self._waiting, []
        return taken

    def requeue(self, outcomes: Sequence[Outcome]) -> None:
        """Adds outcomes again whose transaction failed."""
        self._waiting[:0] = outcomes
        self.add(())

    def finish_commit(self, recording: Recording) -> None:
        """Frees the permits of a committed recording. Outcomes of locked batches wait again."""
        self._progress()
        if recording.busy:
            self._waiting[:0] = recording.busy
            asyncio.get_running_loop().call_later(RETRY_S, self._arrived.set)
        self._release(recording.settled)

    def unjournal(self, lease: Lease, key: int) -> None:
        """Removes the key of a message from the journal, because the message was not sent.

        The permit of the message is freed with the key.
        """
        self._not_sent.setdefault(lease, set()).add(key)
        self._arrived.set()

    async def wait_recorded(self, leases: Sequence[Lease]) -> None:
        """Waits until all messages in flight of these leases are recorded."""
        while any(lease.unrecorded or lease in self._not_sent for lease in leases):
            self.check()
            self._recorded.clear()
            await self._recorded.wait()

    def check(self) -> None:
        """Raises the error that ended the recorder, if there was one.

        A worker that cannot record must end. Otherwise its heartbeat renews leases that nothing
        works on.
        """
        if self._task.done() and not self._task.cancelled():
            self._task.result()

    async def close(self) -> None:
        """Records the waiting outcomes and ends."""
        while (self._waiting or self._not_sent) and not self._task.done():
            self._recorded.clear()
            await self._recorded.wait()
        self._task.cancel()

    def _exchangeable(self) -> Counter[Place]:
        return Counter(place_of(o.lease) for o in self._waiting if o.in_flight)

    async def _run(self) -> None:
        checked_at = clock.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CHECK_S if self._abandoned else None):
                    await self._arrived.wait()
            if self._abandoned and clock.monotonic() - checked_at >= _CHECK_S:
                checked_at = clock.monotonic()
                await self._check_abandoned()
            if not self._arrived.is_set():
                continue
            self._arrived.clear()
            await asyncio.sleep(GATHER_S)  # the next dispatch may record them
            await self._unjournal_unsent()
            taken = self.pop_waiting()
            if taken:
                await self._record(taken)

    async def _record(self, outcomes: Sequence[Outcome]) -> None:
        """Repeats a record until it is committed. The fence of the lease stops a late one."""
        recording = Recording(outcomes)
        while True:
            try:
                await self.execute(recording)
            except Exception as error:
                if is_locked(error) or not is_unavailable(error):
                    await self._narrow_down(outcomes, error)
                    return
                log.warning("record.failed", error=type(error).__name__, messages=len(outcomes))
                await asyncio.sleep(RETRY_S)
                recording = Recording(outcomes)
            else:
                self.finish_commit(recording)
                return

    async def execute(self, recording: Recording, carry: Callable[..., None] | None = None) -> None:
        """Runs a recording, through `carry` where the transaction writes more than outcomes.

        When the response to the commit is lost, the database is read to see whether it committed.

        Raises:
            Exception: the error of the transaction, when nothing was committed.
        """
        try:
            if carry is None:
                await self._ledger(run, recording, owner=self.owner)
            else:
                await self._ledger(carry, owner=self.owner)
        except Exception as error:
            if not (recording.at_commit and is_unavailable(error)):
                raise
            if not await self._read_back(recording):
                raise
            recording.apply_to_leases()
        await self._resolve_late(recording.late)

    async def _resolve_late(self, late: Sequence[Outcome]) -> None:
        """Resolves uncertain messages that a late result reports as sent."""
        waiting = [outcome for outcome in late if outcome.result and outcome.result.success]
        while waiting:
            try:
                await self._ledger(resolve_uncertain, waiting[:1])
            except Exception as error:
                if is_unavailable(error) or is_locked(error):
                    await asyncio.sleep(RETRY_S)
                    continue
                log.error(
                    "late-result.not-applied", message_id=waiting[0].message.id, **where(error)
                )
            waiting = waiting[1:]

    async def _read_back(self, recording: Recording) -> bool:
        while True:
            try:
                found: bool = await self._ledger(was_committed, recording, owner=self.owner)
            except Exception as error:
                if not is_unavailable(error):
                    raise
                await asyncio.sleep(RETRY_S)
            else:
                log.warning("commit.read-back", committed=found)
                return found

    async def _narrow_down(self, outcomes: Sequence[Outcome], error: Exception) -> None:
        if len(outcomes) == 1:
            if is_locked(error):  # the other outcomes do not wait for this lock
                self._progress()  # a worker that waits for a lock is not stuck
                self._waiting.append(outcomes[0])
                asyncio.get_running_loop().call_later(RETRY_S, self._arrived.set)
            else:
                await self._record_bare(outcomes[0], error)
            return
        middle = len(outcomes) // 2
        await self._record(outcomes[:middle])
        await self._record(outcomes[middle:])

    async def _record_bare(self, outcome: Outcome, error: Exception) -> None:
        """Records the verdict alone.

        If the database refuses even that, the lease must run out. Its takeover then treats the
        message as uncertain.
        """
        log.error("record.refused", message_id=outcome.message.id, **where(error))
        while True:
            recording = Recording([bare(outcome)])
            try:
                await self.execute(recording)
            except Exception as again:
                if not is_unavailable(again):
                    log.critical("record.impossible", message_id=outcome.message.id, **where(again))
                    self._abandon(outcome)
                    return
                await asyncio.sleep(RETRY_S)
            else:
                self.finish_commit(recording)
                return

    def _abandon(self, outcome: Outcome) -> None:
        """Leaves an outcome to the takeover of its lease, which is not renewed any more.

        Its permit stays used until then, because its key stays in the journal.
        """
        outcome.lease.abandoned = True
        outcome.lease.unrecorded -= 1
        if outcome.in_flight:
            self._abandoned[outcome.lease] = self._abandoned.get(outcome.lease, 0) + 1
        self._recorded.set()

    async def _check_abandoned(self) -> None:
        leases = list(self._abandoned)
        try:
            ours = await self._ledger(batches.still_owned, leases, self.owner)
        except Exception as error:
            log.warning("abandoned.not-read", **where(error))
            return
        for lease in leases:
            if lease.batch_id not in ours:
                lease.lost = True
                self.permits.release(place_of(lease), self._abandoned.pop(lease))

    async def _unjournal_unsent(self) -> None:
        for lease, keys in list(self._not_sent.items()):
            try:
                removed = await self._ledger(batches.remove_from_journal, lease, keys, self.owner)
            except Exception as error:
                log.warning("journal.not-cleared", **where(error))
                removed = False
            if removed:
                self.permits.release(place_of(lease), len(self._not_sent.pop(lease)))
                self._recorded.set()
            else:
                asyncio.get_running_loop().call_later(RETRY_S, self._arrived.set)

    def _release(self, outcomes: Sequence[Outcome]) -> None:
        freed: Counter[Place] = Counter()
        for outcome in outcomes:
            outcome.lease.unrecorded -= 1
            if outcome.in_flight:
                freed[place_of(outcome.lease)] += 1
        for place, count in freed.items():
            self.permits.release(place, count)
        self._recorded.set()
