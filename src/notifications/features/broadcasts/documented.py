"""BroadcastService: the source documents' class, over the one launch, queue and record.

Positional arguments work, as the documents use them. What is wrong is a ValueError with the
documents' words. The Celery tasks below begin what the workers then carry on; none is ever given an
eta or a countdown, and one that dies leaves nothing undone.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import structlog
from celery import shared_task
from django.utils.translation import npgettext, pgettext
from kombu.exceptions import OperationalError

from notifications.domain.broadcast_lifecycle import BroadcastStatus
from notifications.domain.errors import CarillonError
from notifications.domain.loops import SCHEDULED_BROADCASTS
from notifications.features.background.round_tasks import RoundTask
from notifications.features.broadcasts import actions
from notifications.features.broadcasts.delivery import batches as broadcast_batches
from notifications.features.broadcasts.delivery.launch import find_broadcast
from notifications.features.broadcasts.delivery.retry import MAX_RETRIES, requeue
from notifications.features.broadcasts.delivery.upkeep import begin_due
from notifications.infra import clock

BATCH_SIZE = 1_000
SEND_BATCH_SIZE = 100
GROUP_OF_ROLE: Mapping[str, str] = {
    "student": "all_students",
    "teacher": "all_teachers",
    "tutor": "all_tutors",
    "parent": "all_parents",
}
_TASK_S = 5.0
log = structlog.get_logger("carillon.broadcast")
ResponseDict = dict[str, Any]


@contextmanager
def documented_errors() -> Iterator[None]:
    """Turns what the service raises into the documents' ValueError."""
    try:
        yield
    except CarillonError as error:
        raise ValueError(error.detail) from error


class BroadcastService:
    """Progress, cancellation, retry, and sending batch by batch."""

    @staticmethod
    def get_progress(broadcast_id: int) -> ResponseDict:
        """Where a broadcast is: the fields of `Progress`.

        Raises:
            ValueError: Broadcast N not found.
        """
        with documented_errors():
            return dataclasses.asdict(actions.progress(broadcast_id, now=clock.now()))

    @staticmethod
    def cancel_broadcast(broadcast_id: int) -> ResponseDict:
        """Stops what was not handed over: {success, message, broadcast_id, cancelled_at}.

        Raises:
            ValueError: Broadcast N not found; Cannot cancel broadcast with status S.
        """
        with documented_errors():
            cancelled = actions.cancel(broadcast_id, now=clock.now())
        return {
            "success": True,
            "message": cancel_message(),
            "broadcast_id": cancelled.pk,
            "cancelled_at": cancelled.completed_at,
        }

    @staticmethod
    def retry_failed(broadcast_id: int, max_retries: int = MAX_RETRIES) -> ResponseDict:
        """Tries failed recipients again: {success, message, retried_count, broadcast_id, task_id}.

        They are pending when this returns; a task, or else any worker, puts them into the queue.
        task_id: that task's, or None when nobody had failed.

        Raises:
            ValueError: Broadcast N not found; Cannot retry broadcast with status S.
        """
        with documented_errors():
            return retried(broadcast_id, now=clock.now(), max_retries=max_retries)

    @staticmethod
    def update_progress(broadcast_id: int, sent_count: int, failed_count: int) -> None:
        """Sets the counters of a broadcast that has no recipient rows. One that does not exist, or
        that counts its recipients itself, is left alone."""
        now = clock.now()
        broadcast_batches.set_counts(broadcast_id, sent=sent_count, failed=failed_count, now=now)

    @staticmethod
    def send_to_group_batch(
        broadcast_id: int,
        target_group: str,
        target_filter: dict[str, Any] | None = None,
        batch_size: int | None = SEND_BATCH_SIZE,
    ) -> ResponseDict:
        """Sends to an audience and waits for the hand-over: {success, broadcast_id,
        total_recipients, sent_count, failed_count, batches_processed, errors}.

        Raises:
            ValueError: Broadcast N not found; Cannot send broadcast with status S.
        """
        size = size_of(batch_size, SEND_BATCH_SIZE)
        with documented_errors():
            report = broadcast_batches.send_to(
                broadcast_id, target_group, target_filter, size=size, now=clock.now()
            )
            return send_answer(broadcast_id, report, size=size)

    @staticmethod
    def send_to_role_batch(
        broadcast_id: int, role: str, batch_size: int | None = SEND_BATCH_SIZE
    ) -> ResponseDict:
        """Sends to everyone of a role: student, teacher, tutor or parent. Answers and raises as
        `send_to_group_batch`; another role is a ValueError."""
        group = group_of_role(role)
        return BroadcastService.send_to_group_batch(broadcast_id, group, None, batch_size)

    @staticmethod
    def send_to_custom_list_batch(
        broadcast_id: int, user_ids: Sequence[int], batch_size: int | None = SEND_BATCH_SIZE
    ) -> ResponseDict:
        """Sends to these users. Answers and raises as `send_to_group_batch`; ids of nobody are
        reported in errors."""
        target = {"user_ids": list(user_ids)}
        return BroadcastService.send_to_group_batch(broadcast_id, "custom", target, batch_size)

    @staticmethod
    def create_batch_recipients(
        broadcast_id: int, recipient_ids: Sequence[int], batch_size: int | None = BATCH_SIZE
    ) -> ResponseDict:
        """Writes recipients down: {success, created_count, total_count, batches_processed, errors}.

        Raises:
            ValueError: Broadcast N not found, or it is over.
        """
        size = size_of(batch_size, BATCH_SIZE)
        with documented_errors():
            report = broadcast_batches.add_people(broadcast_id, recipient_ids, size=size)
        return {
            "success": not report.errors,
            "created_count": report.created,
            "total_count": len(recipient_ids),
            "batches_processed": report.parts,
            "errors": report.errors,
        }

    @staticmethod
    def get_batch_status(broadcast_id: int) -> ResponseDict:
        """`get_progress`, with the id as broadcast_id."""
        progress = BroadcastService.get_progress(broadcast_id)
        return {"broadcast_id": progress.pop("id"), **progress}


def retried(broadcast_id: int, *, now: datetime, max_retries: int = MAX_RETRIES) -> ResponseDict:
    """Tries failed recipients again: the answer of `retry_failed`.

    Raises:
        NotFound: unknown_broadcast.
        Conflict: broadcast_status.
    """
    return _retried(broadcast_id, actions.retry(broadcast_id, now=now, max_retries=max_retries))


def retried_chosen(broadcast_id: int, people: Sequence[int], *, now: datetime) -> ResponseDict:
    """Tries these failed recipients again, by user id: the answer of `retried`, with those who are
    not.

    Raises:
        NotFound: unknown_broadcast.
        Conflict: broadcast_status.
    """
    chosen = actions.retry_chosen(broadcast_id, people, now=now)
    return {
        **_retried(broadcast_id, chosen.retried),
        "unknown": chosen.unknown,
        "not_failed": chosen.not_failed,
        "used_up": chosen.used_up,
    }


def _retried(broadcast_id: int, count: int) -> ResponseDict:
    return {
        "success": True,
        "message": retry_message(count),
        "retried_count": count,
        "broadcast_id": broadcast_id,
        "task_id": _task_of(broadcast_id) if count else None,
    }


def cancel_message() -> str:
    """What a cancellation answers, in the caller's language."""
    return pgettext("broadcast", "The broadcast was cancelled")


def retry_message(count: int) -> str:
    """How many are tried again, in the caller's language."""
    return npgettext(
        "broadcast",
        "Sending again was started for %(count)d recipient",
        "Sending again was started for %(count)d recipients",
        count,
    ) % {"count": count}


def group_of_role(role: str) -> str:
    """The audience of a role's people.

    Raises:
        ValueError: no such role.
    """
    if role not in GROUP_OF_ROLE:
        raise ValueError(f"Unknown role {role!r}: must be one of {', '.join(GROUP_OF_ROLE)}")
    return GROUP_OF_ROLE[role]


def size_of(batch_size: int | None, default: int) -> int:
    """A batch's size: the default for None.

    Raises:
        ValueError: less than one.
    """
    size = default if batch_size is None else batch_size
    if size < 1:
        raise ValueError("batch_size must be at least 1")
    return size


def send_answer(broadcast_id: int, report: broadcast_batches.Report, *, size: int) -> ResponseDict:
    """The documented answer of a send."""
    told = actions.progress(broadcast_id, now=clock.now())
    return {
        "success": bool(told.total_recipients),
        "broadcast_id": broadcast_id,
        "total_recipients": told.total_recipients,
        "sent_count": told.sent_count,
        "failed_count": told.failed_count,
        # Whoever else was at it did some of them.
        "batches_processed": math.ceil(told.total_recipients / size),
        "errors": report.errors,
    }


@shared_task(
    name="notifications.services.broadcast.send_broadcast_async",
    max_retries=3,
)
def send_broadcast_async(
    broadcast_id: int, only_failed: bool = False, **_future: Any
) -> ResponseDict:
    """Launches a broadcast, or puts the recipients of a retry back into the queue; workers deliver.

    Returns {success, broadcast_id, status, total_recipients, sent_count, failed_count,
    pending_count}; success is False for one that may not be sent (any more). What fails is repeated
    by its own rows after 60, 120 and 240 s: the task itself is never repeated.
    """
    broadcast = find_broadcast_or_value_error(broadcast_id)
    waiting = broadcast.status in (BroadcastStatus.DRAFT, BroadcastStatus.SCHEDULED)
    if waiting and not only_failed:
        with documented_errors():
            actions.launch(broadcast_id, now=clock.now())
    elif only_failed:
        requeue(broadcast_id, until=clock.monotonic() + _TASK_S)
    told = actions.progress(broadcast_id, now=clock.now())
    return {
        "success": told.status not in (BroadcastStatus.CANCELLED, BroadcastStatus.PAUSED),
        "broadcast_id": broadcast_id,
        "status": told.status,
        "total_recipients": told.total_recipients,
        "sent_count": told.sent_count,
        "failed_count": told.failed_count,
        "pending_count": told.pending_count,
    }


@shared_task(
    name="notifications.services.broadcast.process_scheduled_broadcasts",
    base=RoundTask,
    loop=SCHEDULED_BROADCASTS,
    idle={"success": True, "processed": 0},
)
def process_scheduled_broadcasts(**_future: Any) -> ResponseDict:
    """Begins scheduled broadcasts whose time has come: {success, processed}. The workers look every
    half second; this is for whoever wants it now."""
    return {"success": True, "processed": begin_due(now=clock.now())}


def find_broadcast_or_value_error(broadcast_id: int) -> Any:
    """The row.

    Raises:
        ValueError: Broadcast N not found.
    """
    with documented_errors():
        return find_broadcast(broadcast_id)


def _task_of(broadcast_id: int) -> str | None:
    """The id of the task that goes on with a retry; None when the broker takes none: workers find
    the work anyway."""
    try:
        return str(send_broadcast_async.delay(broadcast_id, only_failed=True).id)
    except OperationalError as error:
        log.warning("broadcast.unasked", broadcast=broadcast_id, error=type(error).__name__)
        return None
