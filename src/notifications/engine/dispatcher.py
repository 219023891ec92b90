"""The dispatcher: journals messages, hands them to providers, and notes what became of them."""

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

log = structlog.get_logger("carillon.flights")
_SLOTS_S = 0.01  # slots nearer to each other than this leave together
BROKEN_OFF = SendResult(
    Verdict.UNCERTAIN, error="the hand-over broke off", error_code="dispatch_failed"
)
"""Our own code failed after the hand-over began: nobody knows what the provider has seen."""


class Dispatcher:
    """Where a worker's messages are dispatched from, and where their outcomes come in.

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
        handover: ProviderCalls,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        self.owner = owner
        self.database = database
        self.ledger = ledger
        self.recorder = Recorder(owner=owner, ledger=ledger, progress=progress)
        self.admission = Admission(owner=owner, database=ledger)
        #: Monotonic starts of the hand-overs under way.
        self.calls: dict[object, float] = {}
        #: Runs that wait for limits and breakers, not for us.
        self.waiting = 0
        self._handover = handover
        self.progress = progress
        self._flights: set[asyncio.Task[None]] = set()

    @property
    def permits(self) -> Permits:
        return self.recorder.permits

    @asynccontextmanager
    async def acquire_permits(
        self, wanted: int, lane: Lane, channel: str, *, least: int = 1
    ) -> AsyncIterator[DispatchPermits]:
        """Waits for permits and holds them for one dispatch; what it does not use is free again
        when the block ends, however it ends."""
        async with self.permits.reserve(wanted, (lane, channel), least=least) as reservation:
            yield DispatchPermits(self, reservation)

    @contextmanager
    def waiting_for_services(self) -> Iterator[None]:
        """While a run waits for limits or breakers, no progress is no sign of a stuck worker."""
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1

    async def poison(self, lease: Lease, key: int, error: BaseException) -> None:
        """Makes a dead letter of a message that our own code cannot work on."""
        await self.ledger(record_poison, lease, key, error, owner=self.owner)
        self.progress()

    def dispatch(self, going: Sequence[Ready]) -> None:
        """Hands journalled messages to their providers."""
        groups: dict[tuple[str, int], list[Ready]] = {}
        for item in going:
            item.lease.unrecorded += 1
            slot = math.ceil(item.leaves_at / _SLOTS_S)
            groups.setdefault((item.provider, slot), []).append(item)
        for (provider, _), items in groups.items():
            task = asyncio.get_running_loop().create_task(self._send_group(provider, items))
            self._flights.add(task)
            task.add_done_callback(self._flights.discard)

    async def _send_group(self, provider: str, items: list[Ready]) -> None:
        by_key = {item.message.id: item for item in items}
        leases = list({item.lease for item in items})

        def came_in(sent: Sequence[OutboundMessage], results: Sequence[SendResult]) -> None:
            for message, result in zip(sent, results, strict=True):
                item = by_key.pop(message.message_id)
                self._settled(item, result)
                self.admission.observe(provider, message.recipient, result)

        try:
            await self._hand_over(provider, items, leases, came_in)
        except Exception:
            log.exception("hand-over.failed", provider=provider)
        for item in list(by_key.values()):
            self._settled(item, BROKEN_OFF)

    async def _hand_over(
        self,
        provider: str,
        items: list[Ready],
        leases: Sequence[Lease],
        came_in: Callable[[Sequence[OutboundMessage], Sequence[SendResult]], None],
    ) -> None:
        start_by = await self._wait_for_slot(provider, items)
        await DISPATCH_GATE.wait_open()
        call = object()
        self.calls[call] = clock.monotonic()
        try:
            with telemetry.stage(items[0].message.channel, "hand_over"):
                await self._handover.send(
                    provider,
                    [item.outbound for item in items],
                    timeout_s=environment().provider_timeout_seconds,
                    on_results=came_in,
                    # Asked before each call: woken after the leases may have passed on, sending
                    # could send twice. A call may outlast the lease while it is renewed.
                    deadline=lambda: batches.valid_until(leases),
                    start_by=start_by,
                )
        finally:
            del self.calls[call]

    def _settled(self, item: Ready, result: SendResult) -> None:
        outcome = settle_safely(item, result, at=database_now())
        outcome.in_flight = True
        self.recorder.add([outcome])

    @staticmethod
    async def _wait_for_slot(provider: str, items: Sequence[Ready]) -> float | None:
        """Waits until the last of the slots; returns when it is too late for the first."""
        last = max(item.leaves_at for item in items)
        late_us = late_us_for(provider)
        if not last or late_us is None:
            return None
        await asyncio.sleep(last - clock.monotonic())
        late_s = late_us / US - database_clock.uncertainty_s()
        return min(item.leaves_at for item in items) + late_s

    def abandon(self, items: Iterable[Ready]) -> None:
        """Journalled messages that do not leave after all: back into the queue."""
        for item in items:
            item.lease.unrecorded += 1
            self._settled(item, NOT_STARTED)

    async def wait_recorded(self, leases: Sequence[Lease]) -> None:
        """Waits until everything of these leases that was in flight is recorded."""
        await self.recorder.wait_recorded(leases)

    def register(self, outcomes: Sequence[Outcome]) -> None:
        """Takes outcomes of messages that never left, to be recorded with the others."""
        self.recorder.register(outcomes)

    def check(self) -> None:
        """Raises what ended the recording, if anything did."""
        self.recorder.check()

    async def close(self) -> None:
        """Waits for what is in flight, records it and ends."""
        while self._flights:
            await asyncio.wait(set(self._flights))
        await self.recorder.close()
        await self.admission.close()


class DispatchPermits:
    """One dispatch: permits, and the transaction that exchanges them for those of outcomes."""

    def __init__(self, dispatcher: Dispatcher, reservation: Reservation) -> None:
        self.granted = reservation.count
        self._dispatcher = dispatcher
        self._reservation = reservation

    def commit_one(self) -> None:
        """A key was journalled already: its permit stays taken after the block."""
        self._reservation.commit(1)

    async def dispatch(self, items: Sequence[Ready]) -> tuple[list[Ready], list[Ready]]:
        """Journals messages and hands over those that may leave.

        Returns:
            those that must be decided anew, and those whose rows another transaction has locked.
        """
        return await self._dispatch(items, self._dispatcher.recorder.pop_waiting())

    async def _dispatch(
        self, items: Sequence[Ready], outcomes: list[Outcome]
    ) -> tuple[list[Ready], list[Ready]]:
        recorder = self._dispatcher.recorder
        fit = self._reservation.fit(len(items), self._exchanged(outcomes))
        now, rest = items[:fit], list(items[fit:])
        under_way = JournalTransaction(now, outcomes)
        try:
            async with DISPATCH_GATE.dispatching():
                await recorder.execute(under_way.recording, under_way.run)
        except BaseException as error:
            recorder.requeue(outcomes)
            if not isinstance(error, Exception) or (is_unavailable(error) and not is_locked(error)):
                raise
            again, locked = await self._narrow_down(now, error)
            return again + rest, locked
        recorder.finish_commit(under_way.recording)
        self._reservation.commit(len(under_way.going))
        self._dispatcher.dispatch(under_way.going)
        left = {item.message.id for item in under_way.going}
        stay = [item for item in now if item.message.id not in left and not item.lease.lost]
        held = under_way.recording.living
        locked = [item for item in stay if item.lease.batch_id not in held]
        again = [item for item in stay if item.lease.batch_id in held]
        return again + rest, locked

    async def _narrow_down(
        self, items: Sequence[Ready], error: Exception
    ) -> tuple[list[Ready], list[Ready]]:
        """What is refused because of one message is narrowed down to it; one that another
        transaction has locked waits alone."""
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
        """Permits that recording these outcomes frees for this dispatch."""
        lane, _ = self._reservation.place
        freed = Counter(place_of(o.lease)[0] for o in outcomes if o.in_flight)
        return freed.total() if lane is Lane.CRITICAL else freed.total() - freed[Lane.CRITICAL]
