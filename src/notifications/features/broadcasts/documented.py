"""BroadcastService, a documented Python class. It uses the same launch and queue as the API.

Arguments may be positional. Errors are ValueErrors with the documented texts. The Celery tasks
below start work that the workers finish. They are never given an eta or a countdown, and the
workers finish the work of a task that dies.
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
    """Raises the errors of the service as the documented ValueError."""
    try:
        yield
    except CarillonError as error:
        raise ValueError(error.detail) from error


class BroadcastService:
    """The documented calls: progress, cancellation, retry, and sending batch by batch."""

    @staticmethod
    def get_progress(broadcast_id: int) -> ResponseDict:
        """Returns how far a broadcast has come: the fields of `Progress`.

        Raises:
            ValueError: Broadcast N not found.
        """
        with documented_errors():
            return dataclasses.asdict(actions.progress(broadcast_id, now=clock.now()))

    @staticmethod
    def cancel_broadcast(broadcast_id: int) -> ResponseDict:
        """Cancels what is not in flight yet: {success, message, broadcast_id, cancelled_at}.

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
        """Retries failed recipients: {success, message, retried_count, broadcast_id, task_id}.

        They are pending when this returns. A task or any worker then queues their messages.
        task_id is the id of that task, or None when no recipient had failed.

        Raises:
            ValueError: Broadcast N not found; Cannot retry broadcast with status S.
        """
        with documented_errors():
            return retry_and_start_task(broadcast_id, now=clock.now(), max_retries=max_retries)

    @staticmethod
    def update_progress(broadcast_id: int, sent_count: int, failed_count: int) -> None:
        """Sets the counters of a broadcast that has no recipient rows.

        Changes nothing where the broadcast does not exist or has recipient rows, which count
        themselves.
        """
        now = clock.now()
        broadcast_batches.set_counts(broadcast_id, sent=sent_count, failed=failed_count, now=now)

    @staticmethod
    def send_to_group_batch(
        broadcast_id: int,
        target_group: str,
        target_filter: dict[str, Any] | None = None,
        batch_size: int | None = SEND_BATCH_SIZE,
    ) -> ResponseDict:
        """Sends to an audience and waits until all is dispatched: {success, broadcast_id,
        total_recipients, sent_count, failed_count, batches_processed, errors}.

        Raises:
            ValueError: Broadcast N not found; Cannot send broadcast with status S.
        """
        size = resolve_batch_size(batch_size, SEND_BATCH_SIZE)
        with documented_errors():
            report = broadcast_batches.send_to(
                broadcast_id, target_group, target_filter, size=size, now=clock.now()
            )
            return build_send_response(broadcast_id, report, size=size)

    @staticmethod
    def send_to_role_batch(
        broadcast_id: int, role: str, batch_size: int | None = SEND_BATCH_SIZE
    ) -> ResponseDict:
        """Sends to all users of a role: student, teacher, tutor or parent.

        Returns and raises the same as `send_to_group_batch`; another role raises ValueError.
        """
        group = group_of_role(role)
        return BroadcastService.send_to_group_batch(broadcast_id, group, None, batch_size)

    @staticmethod
    def send_to_custom_list_batch(
        broadcast_id: int, user_ids: Sequence[int], batch_size: int | None = SEND_BATCH_SIZE
    ) -> ResponseDict:
        """Sends to these users. Returns and raises the same as `send_to_group_batch`.

        Ids that belong to no user are listed in errors.
        """
        target = {"user_ids": list(user_ids)}
        return BroadcastService.send_to_group_batch(broadcast_id, "custom", target, batch_size)

    @staticmethod
    def create_batch_recipients(
        broadcast_id: int, recipient_ids: Sequence[int], batch_size: int | None = BATCH_SIZE
    ) -> ResponseDict:
        """Adds recipients: {success, created_count, total_count, batches_processed, errors}.

        Raises:
            ValueError: Broadcast N not found, or it has ended.
        """
        size = resolve_batch_size(batch_size, BATCH_SIZE)
        with documented_errors():
            report = broadcast_batches.add_recipients(broadcast_id, recipient_ids, size=size)
        return {
            "success": not report.errors,
            "created_count": report.created,
            "total_count": len(recipient_ids),
            "batches_processed": report.parts,
            "errors": report.errors,
        }

    @staticmethod
    def get_batch_status(broadcast_id: int) -> ResponseDict:
        """Returns `get_progress` with the id as broadcast_id."""
        progress = BroadcastService.get_progress(broadcast_id)
        return {"broadcast_id": progress.pop("id"), **progress}


def retry_and_start_task(
    broadcast_id: int, *, now: datetime, max_retries: int = MAX_RETRIES
) -> ResponseDict:
    """Retries failed recipients; returns the response of `retry_failed`.

    Raises:
        NotFound: unknown_broadcast.
        Conflict: broadcast_status.
    """
    return _start_retry(broadcast_id, actions.retry(broadcast_id, now=now, max_retries=max_retries))


def retry_chosen_and_start_task(
    broadcast_id: int, people: Sequence[int], *, now: datetime
) -> ResponseDict:
    """Retries these failed recipients, given by user id.

    Returns the response of `retry_and_start_task`, and the ids of those that are not retried.

    Raises:
        NotFound: unknown_broadcast.
        Conflict: broadcast_status.
    """
    chosen = actions.retry_chosen(broadcast_id, people, now=now)
    return {
        **_start_retry(broadcast_id, chosen.retried),
        "unknown": chosen.unknown,
        "not_failed": chosen.not_failed,
        "used_up": chosen.used_up,
    }


def _start_retry(broadcast_id: int, count: int) -> ResponseDict:
    return {
        "success": True,
        "message": retry_message(count),
        "retried_count": count,
        "broadcast_id": broadcast_id,
        "task_id": _start_retry_task(broadcast_id) if count else None,
    }


def cancel_message() -> str:
    """Returns the text of a cancellation, in the caller's language."""
    return pgettext("broadcast", "The broadcast was cancelled")


def retry_message(count: int) -> str:
    """Returns the text that says how many are retried, in the caller's language."""
    return npgettext(
        "broadcast",
        "Sending again was started for %(count)d recipient",
        "Sending again was started for %(count)d recipients",
        count,
    ) % {"count": count}


def group_of_role(role: str) -> str:
    """Returns the target group of a role.

    Raises:
        ValueError: no such role.
    """
    if role not in GROUP_OF_ROLE:
        raise ValueError(f"Unknown role {role!r}: must be one of {', '.join(GROUP_OF_ROLE)}")
    return GROUP_OF_ROLE[role]


def resolve_batch_size(batch_size: int | None, default: int) -> int:
    """Returns the size of a batch: the default where `batch_size` is None.

    Raises:
        ValueError: less than one.
    """
    size = default if batch_size is None else batch_size
    if size < 1:
        raise ValueError("batch_size must be at least 1")
    return size


def build_send_response(
    broadcast_id: int, report: broadcast_batches.BatchReport, *, size: int
) -> ResponseDict:
    """Returns the documented response of a send."""
    found = actions.progress(broadcast_id, now=clock.now())
    return {
        "success": bool(found.total_recipients),
        "broadcast_id": broadcast_id,
        "total_recipients": found.total_recipients,
        "sent_count": found.sent_count,
        "failed_count": found.failed_count,
        # Not report.parts: a worker may have processed some of the batches.
        "batches_processed": math.ceil(found.total_recipients / size),
        "errors": report.errors,
    }


@shared_task(
    name="notifications.services.broadcast.send_broadcast_async",
    max_retries=3,
)
def send_broadcast_async(
    broadcast_id: int, only_failed: bool = False, **_future: Any
) -> ResponseDict:
    """Launches a broadcast, or queues the messages of a retry again; the workers deliver them.

    Returns {success, broadcast_id, status, total_recipients, sent_count, failed_count,
    pending_count}. success is False where the broadcast is cancelled or paused. The workers retry
    a failed message after 60, 120 and 240 s; the task itself is never repeated.
    """
    broadcast = find_broadcast_or_value_error(broadcast_id)
    waiting = broadcast.status in (BroadcastStatus.DRAFT, BroadcastStatus.SCHEDULED)
    if waiting and not only_failed:
        with documented_errors():
            actions.launch(broadcast_id, now=clock.now())
    elif only_failed:
        requeue(broadcast_id, until=clock.monotonic() + _TASK_S)
    found = actions.progress(broadcast_id, now=clock.now())
    return {
        "success": found.status not in (BroadcastStatus.CANCELLED, BroadcastStatus.PAUSED),
        "broadcast_id": broadcast_id,
        "status": found.status,
        "total_recipients": found.total_recipients,
        "sent_count": found.sent_count,
        "failed_count": found.failed_count,
        "pending_count": found.pending_count,
    }


@shared_task(
    name="notifications.services.broadcast.process_scheduled_broadcasts",
    base=RoundTask,
    loop=SCHEDULED_BROADCASTS,
    idle={"success": True, "processed": 0},
)
def process_scheduled_broadcasts(**_future: Any) -> ResponseDict:
    """Launches the scheduled broadcasts that are due: {success, processed}.

    The workers do so every half second; this task is for callers that do not want to wait.
    """
    return {"success": True, "processed": begin_due(now=clock.now())}


def find_broadcast_or_value_error(broadcast_id: int) -> Any:
    """Returns the broadcast's row.

    Raises:
        ValueError: Broadcast N not found.
    """
    with documented_errors():
        return find_broadcast(broadcast_id)


def _start_retry_task(broadcast_id: int) -> str | None:
    """Starts a task that continues a retry; returns its id.

    Returns None where the broker is unreachable: the workers find the work without a task.
    """
    try:
        return str(send_broadcast_async.delay(broadcast_id, only_failed=True).id)
    except OperationalError as error:
        log.warning(
            "broadcast.task_not_started", broadcast=broadcast_id, error=type(error).__name__
        )
        return None
