"""NotificationDeliveryEngine: one message through the pipeline, for callers that wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import QuerySet

from notifications.domain.channels import Priority, lane_for
from notifications.domain.errors import Conflict
from notifications.domain.lifecycle import REACHED, MessageStatus
from notifications.domain.messages import DeliveryResult
from notifications.engine.lease_driver import deliver_leases, register_process
from notifications.features.sending.blockers import find_blockers
from notifications.features.sending.cancel import lock_pending
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.database.clock_bridge import database_now
from notifications.infra.process.identity import own_name
from notifications.models import DeliveryAttempt, NotificationMessage
from notifications.queue import batches
from notifications.queue.leases import Lease, NewBatch

_MAX_MISSED_SLOTS = 10
"""How often a message may miss its slot before `deliver_message` returns."""

Sleep = Callable[[float], Awaitable[Any]]


class NotificationDeliveryEngine:
    """Delivers single messages with the pipeline's own steps, retries included.

    It uses the same lease, journal and record as a worker, so that a worker never sends the same
    message at the same time. sleep is awaited between attempts.
    """

    def __init__(self, *, sleep: Sleep = asyncio.sleep) -> None:
        self._sleep = sleep
        self._owner = own_name("engine")

    async def deliver_message(self, message: NotificationMessage) -> DeliveryResult:
        """Delivers a pending message and waits for its retries: at most `max_attempts` calls.

        A message that policy defers or stops (quiet hours, a kill switch) stays queued; the result
        has `retry`.

        Raises:
            Conflict: already_sending: a worker is sending the message.
        """
        missed = 0
        while True:
            attempts = message.attempts
            lease = await sync_to_async(self._lease)(message)
            if lease is None:
                break
            await deliver_leases([lease], owner=self._owner)
            await message.arefresh_from_db(from_queryset=_with_text())
            if message.status != MessageStatus.PENDING:
                break
            if message.attempts == attempts:
                missed += 1
                if missed > _MAX_MISSED_SLOTS or not await sync_to_async(_was_late)(message):
                    break
            await self._sleep(max(0.0, (message.scheduled_at - clock.now()).total_seconds()))
        return await sync_to_async(_result)(message)

    async def attempt_once(self, message: NotificationMessage) -> DeliveryResult:
        """Makes one attempt, without waiting for retries. A message to retry stays queued.

        Raises:
            Conflict: already_sending: a worker is sending the message.
        """
        lease = await sync_to_async(self._lease)(message)
        if lease is not None:
            await deliver_leases([lease], owner=self._owner)
            await message.arefresh_from_db(from_queryset=_with_text())
        return await sync_to_async(_result)(message)

    def _lease(self, message: NotificationMessage) -> Lease | None:
        """Moves the message to a batch of its own and leases this batch for this engine."""
        with transaction.atomic():
            # Locks the message's current batch: the copy that the caller has may be old.
            lock_pending(NotificationMessage.objects.filter(pk=message.pk))
            message.refresh_from_db()
            if message.status != MessageStatus.PENDING:
                return None
            if message.batch_id is not None and batches.is_leased(message.batch_id):
                raise Conflict("a worker is sending the message", code="already_sending")
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
            register_process(self._owner)
            return batches.lease_one(
                batch_id, owner=self._owner, seconds=environment().lease_seconds
            )


def _with_text() -> QuerySet[NotificationMessage]:
    """Returns messages with what their inbox shows, which async callers could not read later."""
    return NotificationMessage.objects.select_related("notification__arrival")


def _was_late(message: NotificationMessage) -> bool:
    """Returns whether the message missed its slot, so that no provider was called."""
    history = message.history()
    return bool(history) and history[-1]["reason"] == "not_started"


def _result(message: NotificationMessage) -> DeliveryResult:
    success = message.status in REACHED
    last = DeliveryAttempt.objects.filter(message_id=message.pk).order_by("-id").first()
    reason = None if success else _reason(message, last)
    error = message.last_error or (f"{message.status}: {reason}" if reason else message.status)
    return DeliveryResult(
        success=success,
        message_id=message.provider_message_id,
        error=None if success else error,
        retry=message.status == MessageStatus.PENDING,
        provider_response=last.response if last else None,
        reason=reason,
    )


def _reason(message: NotificationMessage, last: DeliveryAttempt | None) -> str | None:
    """Returns what a pending message waits for, or why another message ended."""
    history = message.history()
    decided = str(history[-1]["reason"]) if history else ""
    if message.status == MessageStatus.PENDING:
        blockers = find_blockers(message, last_reason=decided, now=database_now())
        if not blockers:
            return decided or None
        first = blockers[0]
        return first.name if first.kind == "time" else f"{first.kind}:{first.name}"
    if message.status == MessageStatus.FAILED and last and last.error_code:
        return last.error_code
    return decided or None
