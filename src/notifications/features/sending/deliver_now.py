"""NotificationDeliveryEngine: one message through the pipeline, for callers that wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.db import transaction

from notifications.domain.channels import Priority, lane_for
from notifications.domain.errors import Conflict
from notifications.domain.lifecycle import REACHED, MessageStatus
from notifications.domain.messages import DeliveryResult
from notifications.engine.session import deliver_leases, enlist
from notifications.features.sending.blockers import find_blockers
from notifications.features.sending.cancel import lock_pending
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.database.clock_bridge import database_now
from notifications.infra.process.identity import own_name
from notifications.models import DeliveryAttempt, NotificationMessage
from notifications.queue import batches
from notifications.queue.leases import Lease, NewBatch

_MISSES = 10
"""So often a message may come too late for its slot before a caller hears of it."""

Sleep = Callable[[float], Awaitable[Any]]


class NotificationDeliveryEngine:
    """Delivers single messages with the pipeline's own steps, retries included.

    It drives what a worker would: the same lease, journal and record, so that a worker beside it
    never sends the same message. sleep is awaited between tries.
    """

    def __init__(self, *, sleep: Sleep = asyncio.sleep) -> None:
        self._sleep = sleep
        self._owner = own_name("engine")

    async def deliver_message(self, message: NotificationMessage) -> DeliveryResult:
        """Delivers a pending message and waits for its retries, `max_attempts` calls in all.

        A message that policy holds back (quiet hours, a kill switch) is answered with `retry` and
        stays queued.

        Raises:
            Conflict: already_sending when a worker has it in hand.
        """
        missed = 0
        while True:
            attempts = message.attempts
            lease = await sync_to_async(self._lease)(message)
            if lease is None:
                break
            await deliver_leases([lease], owner=self._owner)
            await message.arefresh_from_db()
            if message.status != MessageStatus.PENDING:
                break
            if message.attempts == attempts:
                missed += 1
                if missed > _MISSES or not await sync_to_async(_was_late)(message):
                    break
            await self._sleep(max(0.0, (message.scheduled_at - clock.now()).total_seconds()))
        return await sync_to_async(_result)(message)

    async def attempt_once(self, message: NotificationMessage) -> DeliveryResult:
        """One try, without waiting for another: what is to be tried again stays queued.

        Raises:
            Conflict: already_sending when a worker has it in hand.
        """
        lease = await sync_to_async(self._lease)(message)
        if lease is not None:
            await deliver_leases([lease], owner=self._owner)
            await message.arefresh_from_db()
        return await sync_to_async(_result)(message)

    def _lease(self, message: NotificationMessage) -> Lease | None:
        """Takes the message out of its batch into one of its own, held by this engine."""
        with transaction.atomic():
            # The batch that it is in now is locked: the copy that the caller has may be old.
            lock_pending(NotificationMessage.objects.filter(pk=message.pk))
            message.refresh_from_db()
            if message.status != MessageStatus.PENDING:
                return None
            if message.batch_id is not None and batches.is_leased(message.batch_id):
                raise Conflict("a worker has the message in hand", code="already_sending")
            lane = lane_for(Priority(message.priority))
            source = message.notification.source
            alone = NewBatch(
                lane,
                message.channel,
                source,
                None,
                [message.pk],
                expires_at=message.notification.expires_at,
            )
            batches.remove_members([message.batch_id])
            (batch_id,) = batches.insert([alone])
            NotificationMessage.objects.filter(pk=message.pk).update(batch_id=batch_id)
            enlist(self._owner)
            return batches.lease_one(
                batch_id, owner=self._owner, seconds=environment().lease_seconds
            )


def _was_late(message: NotificationMessage) -> bool:
    """Whether the message came too late for its slot: nothing was called."""
    history = message.history()
    return bool(history) and history[-1]["reason"] == "not_started"


def _result(message: NotificationMessage) -> DeliveryResult:
    success = message.status in REACHED
    last = DeliveryAttempt.objects.filter(message_id=message.pk).order_by("-id").first()
    reason = None if success else _reason(message, last)
    told = message.last_error or (f"{message.status}: {reason}" if reason else message.status)
    return DeliveryResult(
        success=success,
        message_id=message.provider_message_id,
        error=None if success else told,
        retry=message.status == MessageStatus.PENDING,
        provider_response=last.response if last else None,
        reason=reason,
    )


def _reason(message: NotificationMessage, last: DeliveryAttempt | None) -> str | None:
    """What holds a pending message, or ended another one."""
    history = message.history()
    decided = str(history[-1]["reason"]) if history else ""
    if message.status == MessageStatus.PENDING:
        held = find_blockers(message, last_reason=decided, now=database_now())
        if not held:
            return decided or None
        first = held[0]
        return first.name if first.kind == "time" else f"{first.kind}:{first.name}"
    if message.status == MessageStatus.FAILED and last and last.error_code:
        return last.error_code
    return decided or None
