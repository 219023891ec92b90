"""Planted faults, each against a rule of the engine. The simulation must find all of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from notifications.domain import limits
from notifications.models import DigestBucket
from notifications.models.delivery import frequency
from notifications.queue import batches, permits, takeover
from notifications.queue.leases import LockedBatches


def no_fence() -> None:
    """A worker that lost its lease records as if it still had the lease."""
    real = batches.lock_owned

    def lock_owned(leases: Sequence[Any], owner: str) -> LockedBatches:
        real(leases, owner)
        for lease in leases:
            lease.lost = False
        every = frozenset(lease.batch_id for lease in leases)
        return LockedBatches(every, frozenset(), frozenset())

    batches.lock_owned = lock_owned


def record_before_send() -> None:
    """Messages are recorded as sent before they are sent."""
    from notifications.domain.messages import SendResult, Verdict
    from notifications.engine import dispatcher

    def dispatch(self: Any, going: Sequence[Any]) -> None:
        for item in going:
            item.lease.unrecorded += 1
            self._record_result(item, SendResult(Verdict.SENT))
        for item in going:
            self.loose = [*getattr(self, "loose", ()), self._task(item)]

    def task(self: Any, item: Any) -> Any:
        import asyncio

        async def send() -> None:
            await self._provider_calls.send(
                item.provider, [item.outbound], timeout_s=15, on_results=lambda *_: None
            )

        return asyncio.get_running_loop().create_task(send())

    dispatcher.Dispatcher._task = task
    dispatcher.Dispatcher.dispatch = dispatch


def lost_renewal() -> None:
    """The heartbeat updates the worker's row, but renews no lease."""
    batches.renew = lambda *_: None
    batches.SAFE_SHARE = 1e6
    batches.valid_until = lambda _leases: float("inf")


def limit_off_by_one() -> None:
    """A cap admits one message too many."""
    real = limits.is_spent

    def is_spent(entries: Any, limit: Any, **more: Any) -> bool:
        return real(entries, limit._replace(most=limit.most + 1), **more)

    frequency.is_spent = is_spent
    from notifications.policy import facts

    facts.is_spent = is_spent


def permit_leaked() -> None:
    """A dispatch does not release the permits that it did not use."""
    permits.Reservation.close = lambda self: None


def double_close() -> None:
    """The round that closes digests does not check whether a digest is closed."""
    from notifications.features.upkeep import digests

    def close(keys: Sequence[int], *, now: Any) -> int:
        with transaction.atomic():
            buckets = list(DigestBucket.objects.filter(pk__in=keys).order_by("closes_at", "id"))
            groups = digests._groups([bucket.pk for bucket in buckets])
            digests._send(buckets, groups, now=now, test=False)
        return len(buckets)

    digests._close = close


def living_lease_taken() -> None:
    """A sweep takes over batches whose worker is alive and renews them."""
    statements, late = batches.statements(), datetime(2999, 1, 1, tzinfo=UTC)
    abandoned, claim = statements.abandoned, statements.claim_abandoned
    statements.abandoned = lambda ended, _late, _at, limit, *, after: abandoned(
        ended, None, late, limit, after=after
    )
    statements.claim_abandoned = lambda batch_id, ended, _at: claim(batch_id, ended, late)
    real = takeover._owners

    def owners(**more: Any) -> Any:
        found = real(**more)
        return takeover._Owners(found.ended, None, found.forgotten)

    takeover._owners = owners


def journal_not_read() -> None:
    """A takeover treats journalled messages as not sent."""
    real = takeover._free_rest

    def free_rest(dead: Any) -> None:
        dead.rest[:] = sorted({*dead.rest, *dead.journalled})
        dead.journalled.clear()
        real(dead)

    takeover._free_rest = free_rest


def no_recheck() -> None:
    """The journal does not check whether a message was cancelled."""
    from notifications.engine import journal

    journal._still_allowed = lambda ready: list(ready)


def retry_without_batch() -> None:
    """A message that is to be retried gets no batch."""
    from notifications.recording import record

    real = record.batches.insert
    calls = []

    def insert(made: Any) -> Any:
        calls.append(1)
        ids = real(made)
        if any(batch.due_at for batch in made):
            batches.statements().delete(ids)
        return ids

    record.batches = type("Batches", (), {**vars(batches), "insert": staticmethod(insert)})


def cancel_without_lock() -> None:
    """A cancellation does not check whether the message is in flight."""
    from notifications.features.sending import cancel as cancelling

    cancelling.is_in_flight = lambda _message: False


def reused_pid() -> None:
    """A living process is treated as ended."""
    from notifications.infra.process import identity as processes

    processes.has_ended = lambda name: True


ALL = (
    no_fence,
    record_before_send,
    lost_renewal,
    limit_off_by_one,
    permit_leaked,
    double_close,
    living_lease_taken,
    journal_not_read,
    no_recheck,
    retry_without_batch,
    cancel_without_lock,
    reused_pid,
)
