"""The dispatcher journals messages, passes them to providers and collects the results."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import structlog

from notifications.delivery.provider_calls import NOT_STARTED, ProviderCalls
from notifications.delivery.services import late_us_for
from notifications.domain.channels import Lane
from notifications.domain.flow import US
from notifications.domain.messages import OutboundMessage, SendResult, Verdict
from notifications.engine.admission import Admission
from notifications.engine.journal import JournalTransaction
from notifications.engine.recorder import Recorder, place_of
from notifications.engine.settlement import settle_safely
from notifications.engine.values import Ready
from notifications.infra import clock, telemetry
from notifications.infra.conf import environment
from notifications.infra.database.clock_bridge import database_clock, database_now
from notifications.infra.database.errors import is_locked, is_unavailable
from notifications.queue import batches
from notifications.queue.leases import Lease
from notifications.queue.permits import Permits, Reservation
from notifications.recording.outcomes import Outcome
from notifications.recording.poison import record_poison
from notifications.rendering.guard.dispatch_gate import DISPATCH_GATE

log = structlog.get_logger("carillon.dispatcher")
_SLOTS_S = 0.01  # slots that are closer to each other than this are sent together
BROKEN_OFF = SendResult(
    Verdict.UNCERTAIN, error="the hand-over broke off", error_code="dispatch_failed"
)
"""Our own code failed after a call began: the provider may have received the message."""


class Dispatcher:
    """Dispatches the messages of a worker and collects their results.

    Args:
        database: runs a call on the thread that prepares.
        ledger: runs a call on the thread that journals and records.
        progress: called whenever something was journalled or recorded.
    """

    def __init__(
        self,
        *,
        owner: str,
        database: Callable[..., Awaitable[Any]],
        ledger: Callable[..., Awaitable[Any]],
        calls: ProviderCalls,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        self.owner = owner
        self.database = database
        self.ledger = ledger
        self.recorder = Recorder(owner=owner, ledger=ledger, progress=progress)
        self.admission = Admission(owner=owner, database=ledger)
        #: When each provider call in progress began, on the monotonic clock.
        self.call_starts: dict[object, float] = {}
        #: How many runs wait for rate limits and circuit breakers.
        self.waiting = 0
        self._provider_calls = calls
        self.progress = progress
        self._sending: set[asyncio.Task[None]] = set()

    @property
    def permits(self) -> Permits:
        return self.recorder.permits

    @asynccontextmanager
    async def acquire_permits(
        self, wanted: int, lane: Lane, channel: str, *, least: int = 1
    ) -> AsyncIterator[DispatchPermits]:
        """Waits for permits and reserves them for one dispatch.

        Permits that the block does not use are free again when it ends, also after an error.
        """
        async with self.permits.reserve(wanted, (lane, channel), least=least) as reservation:
            yield DispatchPermits(self, reservation)

    @contextmanager
    def waiting_for_services(self) -> Iterator[None]:
        """Marks a run as waiting for limits or breakers within the block.

        The watchdog does not count such a run as stuck.
        """
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1

    async def poison(self, lease: Lease, key: int, error: BaseException) -> None:
        """Makes a dead letter of a message that our own code cannot process."""
        await self.ledger(record_poison, lease, key, error, owner=self.owner)
        self.progress()

    def dispatch(self, going: Sequence[Ready]) -> None:
        """Passes journalled messages to their providers."""
        groups: dict[tuple[str, int], list[Ready]] = {}
        for item in going:
            item.lease.unrecorded += 1
            slot = math.ceil(item.leaves_at / _SLOTS_S)
            groups.setdefault((item.provider, slot), []).append(item)
        for (provider, _), items in groups.items():
            task = asyncio.get_running_loop().create_task(self._send_group(provider, items))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send_group(self, provider: str, items: list[Ready]) -> None:
        by_key = {item.message.id: item for item in items}
        leases = list({item.lease for item in items})

        def collect(sent: Sequence[OutboundMessage], results: Sequence[SendResult]) -> None:
            for message, result in zip(sent, results, strict=True):
                item = by_key.pop(message.message_id)
                self._record_result(item, result)
                self.admission.observe(provider, message.recipient, result)

        try:
            await self._call_provider(provider, items, leases, collect)
        except Exception:
            log.exception("hand-over.failed", provider=provider)
        for item in list(by_key.values()):
            self._record_result(item, BROKEN_OFF)

    async def _call_provider(
        self,
        provider: str,
        items: list[Ready],
        leases: Sequence[Lease],
        collect: Callable[[Sequence[OutboundMessage], Sequence[SendResult]], None],
    ) -> None:
        start_by = await self._wait_for_slot(provider, items)
        await DISPATCH_GATE.wait_open()
        call = object()
        self.call_starts[call] = clock.monotonic()
        try:
            with telemetry.stage(items[0].message.channel, "hand_over"):
                await self._provider_calls.send(
                    provider,
                    [item.outbound for item in items],
                    timeout_s=environment().provider_timeout_seconds,
                    on_results=collect,
                    # Checked before each call. After the leases have ended, another worker may have
                    # the messages, and a call would send them twice. A call may last longer than
                    # the lease, because the lease is renewed.
                    deadline=lambda: batches.valid_until(leases),
                    start_by=start_by,
                )
        finally:
            del self.call_starts[call]

    def _record_result(self, item: Ready, result: SendResult) -> None:
        outcome = settle_safely(item, result, at=database_now())
        outcome.in_flight = True
        self.recorder.add([outcome])

    @staticmethod
    async def _wait_for_slot(provider: str, items: Sequence[Ready]) -> float | None:
        """Waits for the last slot. Returns when the first slot is missed, on the monotonic clock.

        Returns None where the provider has no rate limit.
        """
        last = max(item.leaves_at for item in items)
        late_us = late_us_for(provider)
        if not last or late_us is None:
            return None
        await asyncio.sleep(last - clock.monotonic())
        late_s = late_us / US - database_clock.uncertainty_s()
        return min(item.leaves_at for item in items) + late_s

    def abandon(self, items: Iterable[Ready]) -> None:
        """Puts journalled messages that are not sent after all back into the queue."""
        for item in items:
            item.lease.unrecorded += 1
            self._record_result(item, NOT_STARTED)

    async def wait_recorded(self, leases: Sequence[Lease]) -> None:
        """Waits until all messages in flight of these leases are recorded."""
        await self.recorder.wait_recorded(leases)

    def register(self, outcomes: Sequence[Outcome]) -> None:
        """Records the outcomes of messages that were not dispatched, together with the others."""
        self.recorder.register(outcomes)

    def check(self) -> None:
        """Raises the error that ended the recorder, if there was one."""
        self.recorder.check()

    async def close(self) -> None:
        """Waits for the messages in flight, records them and ends."""
        while self._sending:
            await asyncio.wait(set(self._sending))
        await self.recorder.close()
        await self.admission.close()


class DispatchPermits:
    """The permits of one dispatch.

    The transaction of the dispatch records waiting results too. It may use the permits that those
    results free.
    """

    def __init__(self, dispatcher: Dispatcher, reservation: Reservation) -> None:
        self.granted = reservation.count
        self._dispatcher = dispatcher
        self._reservation = reservation

    def commit_one(self) -> None:
        """Uses one permit, for a key that the caller has journalled itself."""
        self._reservation.commit(1)

    async def dispatch(self, items: Sequence[Ready]) -> tuple[list[Ready], list[Ready]]:
        """Journals messages and passes to providers those that may still be sent.

        Returns:
            the messages that must be decided again, and the messages whose batches another
            transaction has locked.
        """
        return await self._dispatch(items, self._dispatcher.recorder.pop_waiting())

    async def _dispatch(
        self, items: Sequence[Ready], outcomes: list[Outcome]
    ) -> tuple[list[Ready], list[Ready]]:
        recorder = self._dispatcher.recorder
        fit = self._reservation.fit(len(items), self._exchanged(outcomes))
        first, rest = items[:fit], list(items[fit:])
        journal = JournalTransaction(first, outcomes)
        try:
            async with DISPATCH_GATE.dispatching():
                await recorder.execute(journal.recording, journal.run)
        except BaseException as error:
            recorder.requeue(outcomes)
            if not isinstance(error, Exception) or (is_unavailable(error) and not is_locked(error)):
                raise
            again, locked = await self._narrow_down(first, error)
            return again + rest, locked
        recorder.finish_commit(journal.recording)
        self._reservation.commit(len(journal.going))
        self._dispatcher.dispatch(journal.going)
        sent = {item.message.id for item in journal.going}
        stay = [item for item in first if item.message.id not in sent and not item.lease.lost]
        living = journal.recording.living
        locked = [item for item in stay if item.lease.batch_id not in living]
        again = [item for item in stay if item.lease.batch_id in living]
        return again + rest, locked

    async def _narrow_down(
        self, items: Sequence[Ready], error: Exception
    ) -> tuple[list[Ready], list[Ready]]:
        """Dispatches halves, down to the message that causes the error.

        A message whose batch another transaction has locked waits alone.
        """
        if len(items) == 1:
            if is_locked(error):
                self._dispatcher.progress()
                return [], list(items)
            await self._dispatcher.poison(items[0].lease, items[0].message.id, error)
            return [], []
        if not items:
            return [], []
        middle = len(items) // 2
        first = await self._dispatch(items[:middle], [])
        second = await self._dispatch(items[middle:], [])
        return first[0] + second[0], first[1] + second[1]

    def _exchanged(self, outcomes: Sequence[Outcome]) -> int:
        """Returns how many permits these outcomes free for this dispatch, once recorded."""
        lane, _ = self._reservation.place
        freed = Counter(place_of(o.lease)[0] for o in outcomes if o.in_flight)
        return freed.total() if lane is Lane.CRITICAL else freed.total() - freed[Lane.CRITICAL]
