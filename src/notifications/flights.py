"""Messages in the air: handed to providers, and brought down into the record as answers come."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import structlog
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    NotSupportedError,
    ProgrammingError,
)

from notifications.conf import environment
from notifications.delivery.base import where
from notifications.delivery.handover import Handover
from notifications.delivery.services import late_us_for
from notifications.domain.channels import Lane
from notifications.domain.flow import US
from notifications.domain.messages import OutboundMessage, SendResult
from notifications.gates import Gates
from notifications.infra import clock, telemetry
from notifications.infra.clock_bridge import database_clock
from notifications.pipeline import journal
from notifications.queue import batches, takeover
from notifications.queue.lanes import Permits
from notifications.queue.leases import Lease
from notifications.recording.outcomes import Outcome, bare
from notifications.recording.record import record
from notifications.settlement import settle
from notifications.slices import Ready

log = structlog.get_logger("carillon.flights")
_RETRY_S = 0.2
_GATHER_S = 0.05
_SLOTS_S = 0.01  # slots nearer to each other than this leave together
_REFUSED = (DataError, IntegrityError, NotSupportedError, ProgrammingError)


def _is_away(error: Exception) -> bool:
    """Whether the database may take the same statement later: everything else is refused for good,
    be it by the database or by code that stumbled (a lone surrogate, a NUL)."""
    return isinstance(error, DatabaseError | InterfaceError) and not isinstance(error, _REFUSED)


class Desk:
    """Where a worker's messages leave from and land.

    Outcomes are recorded as soon as the ledger's thread is free: those that come in meanwhile go
    together in the next record, or with the next journal, so that none waits longer than one
    transaction. database prepares, ledger journals and records, each on a thread of its own.
    """

    def __init__(
        self,
        *,
        owner: str,
        database: Callable[..., Awaitable[Any]],
        ledger: Callable[..., Awaitable[Any]],
        handover: Handover,
    ) -> None:
        self.owner = owner
        self.database = database
        self.ledger = ledger
        self.permits = Permits()
        self.gates = Gates(owner=owner, database=ledger)
        self.deadline: Callable[[float], float] = lambda leased_at: leased_at
        self._handover = handover
        self._landed: list[Outcome] = []
        self._lost: set[Lease] = set()
        self._arrived = asyncio.Event()
        self._recorded = asyncio.Event()
        self._flights: set[asyncio.Task[None]] = set()
        self._recorder = asyncio.get_running_loop().create_task(self._record_forever())
        self._recorder.add_done_callback(lambda _: self._recorded.set())

    def note(self, outcomes: Sequence[Outcome]) -> None:
        """Takes outcomes of messages that never flew, to be recorded with the others."""
        for outcome in outcomes:
            outcome.lease.unrecorded += 1
            self._landed.append(outcome)
        if outcomes:
            self._arrived.set()

    async def depart(
        self, ready: Sequence[Ready], granted: int, lane: Lane, channel: str
    ) -> list[Ready]:
        """Journals messages and hands over those that may leave; returns what to decide anew.

        What has landed meanwhile is recorded in the same transaction. Permits that are not used
        are given back.
        """
        if self._lost:
            await self._until_passed_on()
        landed, self._landed = self._landed, []
        going: list[Ready] = []
        try:
            going = await self.ledger(journal, ready, owner=self.owner, outcomes=landed)
        except BaseException:
            self._landed[:0] = landed
            self._arrived.set()
            raise
        finally:
            self.permits.give(granted - len(going), lane=lane, channel=channel)
        self._note_lost([item.lease for item in ready])
        self._release(landed)
        self._fly_all(going, lane=lane, channel=channel)
        left = {item.message.id for item in going}
        return [i for i in ready if i.message.id not in left and not i.lease.lost]

    def _fly_all(self, going: Sequence[Ready], *, lane: Lane, channel: str) -> None:
        groups: dict[tuple[str, int], list[Ready]] = {}
        for item in going:
            item.lease.unrecorded += 1
            slot = math.ceil(item.leaves_at / _SLOTS_S)
            groups.setdefault((item.provider, slot), []).append(item)
        for (provider, _), items in groups.items():
            flight = self._fly(provider, items, lane, channel)
            task = asyncio.get_running_loop().create_task(flight)
            self._flights.add(task)
            task.add_done_callback(self._flights.discard)

    async def _fly(self, provider: str, items: list[Ready], lane: Lane, channel: str) -> None:
        start_by = await self._wait_for_slot(provider, items)
        leased_at = min(item.lease.leased_at for item in items)
        left = self.deadline(leased_at) - clock.monotonic()
        timeout_s = min(environment().call_seconds, left)
        if timeout_s <= 0:
            # Woken after the leases may have passed on: sending now could send twice.
            self._ground(items, lane, channel)
            return
        by_key = {item.message.id: item for item in items}

        def land(sent: Sequence[OutboundMessage], results: Sequence[SendResult]) -> None:
            at, flying = clock.now(), len(by_key)
            try:
                for message, result in zip(sent, results, strict=True):
                    outcome = settle(by_key[message.message_id], result, at=at)
                    self._landed.append(outcome)
                    del by_key[message.message_id]
                    self.gates.saw(provider, message.recipient, result)
            finally:
                # Free already: whatever leaves next is journalled in the transaction that takes
                # these off the journal, so that no committed journal is ever longer than the limit.
                self.permits.give(flying - len(by_key), lane=lane, channel=channel)
                self._arrived.set()

        try:
            with telemetry.stage(channel, "hand_over"):
                await self._handover.hand_over(
                    provider,
                    [item.outbound for item in items],
                    timeout_s=timeout_s,
                    on_results=land,
                    deadline=lambda: self.deadline(leased_at),
                    start_by=start_by,
                )
        except Exception:
            log.exception("flight.broken", provider=provider)
        stranded = list(by_key.values())
        by_key.clear()
        if stranded:  # whatever went wrong, nobody waits for these for ever
            self._ground(stranded, lane, channel)

    @staticmethod
    async def _wait_for_slot(provider: str, items: Sequence[Ready]) -> float | None:
        """Waits until the last of the slots; returns when it is too late for the first."""
        last = max(item.leaves_at for item in items)
        late_us = late_us_for(provider)
        if not last or late_us is None:
            return None
        await asyncio.sleep(last - clock.monotonic())
        late_s = late_us / US - database_clock.doubt_s()
        return min(item.leaves_at for item in items) + late_s

    def _ground(self, items: Sequence[Ready], lane: Lane, channel: str) -> None:
        log.warning("flight.grounded", messages=len(items))
        for item in items:
            item.lease.lost = True
            item.lease.unrecorded -= 1
        self._note_lost(item.lease for item in items)
        self.permits.give(len(items), lane=lane, channel=channel)
        self._recorded.set()

    async def landed(self, leases: Sequence[Lease]) -> None:
        """Waits until everything of these leases that flew is recorded."""
        while any(lease.unrecorded for lease in leases):
            self.check()
            self._recorded.clear()
            await self._recorded.wait()

    def check(self) -> None:
        """Raises what ended the recording, if anything did: a worker that cannot record must end,
        or its heartbeat would keep leases alive that nobody works on."""
        if self._recorder.done() and not self._recorder.cancelled():
            self._recorder.result()

    async def close(self) -> None:
        """Records what is still to be recorded and ends."""
        while (self._flights or self._landed) and not self._recorder.done():
            if self._flights:
                await asyncio.wait(set(self._flights))
            self._recorded.clear()
            if self._landed:
                await self._recorded.wait()
        self._recorder.cancel()
        await self.gates.close()

    async def _record_forever(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            await asyncio.sleep(_GATHER_S)  # the next departure may take them along
            landed, self._landed = self._landed, []
            if landed:
                await self._record(landed)

    async def _record(self, outcomes: list[Outcome]) -> None:
        """Records until the database takes it; the lease's fence guards against being too late.

        What the database refuses for good is narrowed down to the message, so that one that cannot
        be written never holds up the others.
        """
        while True:
            try:
                await self.ledger(record, outcomes, owner=self.owner)
                break
            except Exception as error:
                if not _is_away(error):
                    await self._narrow_down(outcomes, error)
                    return
                log.warning("record.failed", error=type(error).__name__, messages=len(outcomes))
                await asyncio.sleep(_RETRY_S)
        self._release(outcomes)

    async def _narrow_down(self, outcomes: list[Outcome], error: Exception) -> None:
        if len(outcomes) == 1:
            await self._record_bare(outcomes[0], error)
            return
        middle = len(outcomes) // 2
        await self._record(outcomes[:middle])
        await self._record(outcomes[middle:])

    async def _record_bare(self, outcome: Outcome, error: Exception) -> None:
        """Records the verdict alone. If even that is refused, the lease is left to run out: its
        takeover treats the message as in doubt."""
        log.error("record.refused", message_id=outcome.message.id, **where(error))
        while True:
            try:
                await self.ledger(record, [bare(outcome)], owner=self.owner)
                break
            except Exception as again:
                if not _is_away(again):
                    log.critical("record.impossible", message_id=outcome.message.id, **where(again))
                    outcome.lease.lost = True
                    break
                await asyncio.sleep(_RETRY_S)
        self._release([outcome])

    def _note_lost(self, leases: Iterable[Lease]) -> None:
        self._lost.update(lease for lease in leases if lease.lost and lease.journal)

    async def _until_passed_on(self) -> None:
        """Journals nothing more while our name stands on batches whose lease was lost: what they
        name and what would be new could together be more than one death may leave in doubt."""
        names = [lease.batch_id for lease in self._lost]
        give_up_at = clock.monotonic() + 2 * environment().lease_seconds
        while clock.monotonic() < give_up_at:
            if not await self.ledger(batches.are_ours, names, self.owner):
                break
            await self.ledger(takeover.sweep, everywhere=True)
            await asyncio.sleep(_GATHER_S)
        self._lost.difference_update({lease for lease in self._lost if lease.batch_id in names})

    def _release(self, outcomes: Sequence[Outcome]) -> None:
        self._note_lost(outcome.lease for outcome in outcomes)
        for outcome in outcomes:
            outcome.lease.unrecorded -= 1
        self._recorded.set()
