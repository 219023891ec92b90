"""BroadcastBatchProcessor, the documented batch processor of broadcasts.

Its constants are the defaults of its methods, so a subclass can change them.
`features/broadcasts/delivery/batches.py` does the work, as for `BroadcastService`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from celery import shared_task

from notifications.delivery.retry import listed_policy
from notifications.features.broadcasts.delivery import batches as broadcast_batches
from notifications.features.broadcasts.documented import (
    BroadcastService,
    ResponseDict,
    build_send_response,
    documented_errors,
    group_of_role,
    resolve_batch_size,
)
from notifications.infra import clock

__all__ = [
    "BroadcastBatchProcessor",
    "process_broadcast_batch_async",
    "retry_failed_broadcasts_async",
]


class BroadcastBatchProcessor:
    """Stores recipients, sends and retries, in batches of the class's sizes."""

    #: Recipients that are stored together.
    BATCH_SIZE: ClassVar[int] = 1_000
    #: Recipients that are sent to together.
    SEND_BATCH_SIZE: ClassVar[int] = 100
    #: How often a failed message or recipient is retried.
    MAX_RETRIES: ClassVar[int] = 3
    #: Seconds before each retry of a message.
    RETRY_DELAYS: ClassVar[Sequence[float]] = [10, 60, 300]

    @classmethod
    def create_broadcast_recipients_batch(
        cls, broadcast_id: int, recipient_ids: Sequence[int], batch_size: int | None = None
    ) -> ResponseDict:
        """Stores recipients, BATCH_SIZE at a time; skips those already stored.

        Returns {success, created_count, total_count, batches_processed, errors}.

        Raises:
            ValueError: Broadcast N not found, or it has ended.
        """
        size = resolve_batch_size(batch_size, cls.BATCH_SIZE)
        return BroadcastService.create_batch_recipients(broadcast_id, recipient_ids, size)

    @classmethod
    def send_to_group_batch(
        cls,
        broadcast_id: int,
        target_group: str,
        target_filter: dict[str, Any] | None = None,
        batch_size: int | None = None,
    ) -> ResponseDict:
        """Sends to an audience, SEND_BATCH_SIZE at a time, and waits for the provider calls.

        Returns {success, broadcast_id, total_recipients, sent_count, failed_count,
        batches_processed, errors}.

        Raises:
            ValueError: Broadcast N not found; Cannot send broadcast with status S.
        """
        size = resolve_batch_size(batch_size, cls.SEND_BATCH_SIZE)
        with documented_errors():
            report = broadcast_batches.send_to(
                broadcast_id,
                target_group,
                target_filter,
                size=size,
                now=clock.now(),
                retries=broadcast_batches.RetrySettings(
                    policy=listed_policy(cls.RETRY_DELAYS), calls=1 + cls.MAX_RETRIES
                ),
            )
            return build_send_response(broadcast_id, report, size=size)

    @classmethod
    def send_to_role_batch(
        cls, broadcast_id: int, role: str, batch_size: int | None = None
    ) -> ResponseDict:
        """Sends to all users with a role: student, teacher, tutor or parent."""
        return cls.send_to_group_batch(broadcast_id, group_of_role(role), None, batch_size)

    @classmethod
    def send_to_custom_list_batch(
        cls, broadcast_id: int, user_ids: Sequence[int], batch_size: int | None = None
    ) -> ResponseDict:
        """Sends to these users; unknown ids are reported in errors."""
        target = {"user_ids": list(user_ids)}
        return cls.send_to_group_batch(broadcast_id, "custom", target, batch_size)

    @classmethod
    def retry_failed_batch(
        cls, broadcast_id: int, max_retries: int | None = None, batch_size: int | None = None
    ) -> ResponseDict:
        """Retries failed recipients and waits for the provider calls.

        Each recipient is retried at most `max_retries` times in total. Returns what
        `send_to_group_batch` returns, and retried_count.

        Raises:
            ValueError: Broadcast N not found; Cannot retry broadcast with status S.
        """
        size = resolve_batch_size(batch_size, cls.SEND_BATCH_SIZE)
        with documented_errors():
            report = broadcast_batches.retry_now(
                broadcast_id,
                max_retries=cls.MAX_RETRIES if max_retries is None else max_retries,
                size=size,
                policy=listed_policy(cls.RETRY_DELAYS),
            )
            result = build_send_response(broadcast_id, report, size=size)
        return {
            **result,
            "success": True,
            "retried_count": report.created,
            "batches_processed": report.parts,
        }

    @classmethod
    def get_batch_status(cls, broadcast_id: int) -> ResponseDict:
        """Returns the progress of a broadcast.

        Raises:
            ValueError: Broadcast N not found.
        """
        return BroadcastService.get_batch_status(broadcast_id)


@shared_task(name="notifications.broadcast_batch.process_broadcast_batch_async")
def process_broadcast_batch_async(
    broadcast_id: int,
    target_group: str,
    target_filter: dict[str, Any] | None = None,
    **_future: Any,
) -> ResponseDict:
    """Sends a broadcast to an audience in batches; returns what `send_to_group_batch` returns."""
    return BroadcastBatchProcessor.send_to_group_batch(broadcast_id, target_group, target_filter)


@shared_task(name="notifications.broadcast_batch.retry_failed_broadcasts_async")
def retry_failed_broadcasts_async(
    broadcast_id: int, max_retries: int = BroadcastBatchProcessor.MAX_RETRIES, **_future: Any
) -> ResponseDict:
    """Retries a broadcast's failed recipients; returns what `retry_failed_batch` returns."""
    return BroadcastBatchProcessor.retry_failed_batch(broadcast_id, max_retries)
