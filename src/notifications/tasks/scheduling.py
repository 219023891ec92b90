"""The tasks of schedules. They wake workers and fix stuck notifications; a row says when it is due.

No task is given an eta or a countdown: with Redis as the broker such a task runs again after the
visibility timeout.
"""

from __future__ import annotations

from typing import Any

from celery import shared_task

from notifications.domain import loops
from notifications.features.background.round_tasks import RoundTask
from notifications.features.scheduling.documented import NotificationScheduler
from notifications.features.scheduling.rescheduling import (
    clean_up_cancelled,
    process_due,
    retry_stuck,
)
from notifications.infra import clock


@shared_task(name="notifications.tasks.send_notification_task", ignore_result=True, max_retries=3)
def send_notification_task(notification_id: int | str, **_future: Any) -> dict[str, Any]:
    """Sends a scheduled notification now.

    A worker retries a failed one after 5, 10 and 20 minutes; the task itself is never repeated.
    """
    scheduler = NotificationScheduler()
    sent = scheduler.send_scheduled_notification(notification_id)
    status = scheduler.get_schedule_status(notification_id) or {}
    return {
        "success": sent,
        "notification_id": notification_id,
        "scheduled_status": status.get("scheduled_status"),
    }


@shared_task(
    name="notifications.tasks.process_scheduled_notifications",
    base=RoundTask,
    loop=loops.SCHEDULED,
    ignore_result=True,
)
def process_scheduled_notifications(**_future: Any) -> dict[str, int]:
    """Every minute: wakes the workers of the lanes with due batches."""
    return process_due(now=clock.now())


@shared_task(
    name="notifications.tasks.retry_failed_notifications",
    base=RoundTask,
    loop=loops.STUCK,
    ignore_result=True,
)
def retry_failed_notifications(**_future: Any) -> dict[str, int]:
    """Every five minutes: queues due notifications again that are in no batch."""
    return retry_stuck(now=clock.now())


@shared_task(
    name="notifications.tasks.cleanup_cancelled_notifications",
    base=RoundTask,
    loop=loops.CANCELLED,
    ignore_result=True,
)
def cleanup_cancelled_notifications(**_future: Any) -> dict[str, int]:
    """Daily at 03:00 UTC: deletes notifications that were cancelled more than 30 days ago."""
    return clean_up_cancelled(now=clock.now())
