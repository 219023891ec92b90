"""Celery's tasks, by documented names. Bodies are a line or two: the work is in features."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from notifications.domain import loops
from notifications.features.background.round_tasks import RoundTask
from notifications.features.broadcasts.delivery.upkeep import maintain_broadcasts
from notifications.features.receipts.apply import apply_due
from notifications.features.receipts.poll import poll_due
from notifications.features.templates.proving import prove_due
from notifications.features.upkeep.digests import close_due
from notifications.features.upkeep.maintenance import maintain as maintain_now
from notifications.features.webhooks.deliver import post_due
from notifications.infra import clock
from notifications.infra.process import wakeups
from notifications.tasks.scheduling import (
    cleanup_cancelled_notifications,
    process_scheduled_notifications,
    retry_failed_notifications,
    send_notification_task,
)

__all__ = [
    "apply_receipts",
    "ask_providers",
    "cleanup_cancelled_notifications",
    "close_digests",
    "deliver",
    "launch_broadcasts",
    "maintain",
    "process_scheduled_notifications",
    "prove_templates",
    "retry_failed_notifications",
    "send_notification_task",
    "tell_webhooks",
]


@shared_task(name="notifications.tasks.deliver", ignore_result=True)
def deliver(*, lane: str, **_future: Any) -> None:
    """Wakes the worker of this process; the database says what is due."""
    wakeups.poke([lane])


@shared_task(
    name="notifications.tasks.maintain",
    base=RoundTask,
    loop=loops.UPKEEP,
    ignore_result=True,
)
def maintain(**_future: Any) -> dict[str, int]:
    """Deletes what expired and takes over what dead workers held."""
    return maintain_now()


@shared_task(
    name="notifications.tasks.close_digests",
    base=RoundTask,
    loop=loops.DIGESTS,
    ignore_result=True,
)
def close_digests(**_future: Any) -> int:
    """Sends the digests whose period has ended."""
    return close_due(now=clock.now())


@shared_task(
    name="notifications.tasks.prove_templates",
    base=RoundTask,
    loop=loops.PROOFS,
    ignore_result=True,
)
def prove_templates(**_future: Any) -> int:
    """Renders the examples of versions that nobody has tried out since the last upgrade."""
    return prove_due(now=clock.now())


@shared_task(
    name="notifications.tasks.launch_broadcasts",
    base=RoundTask,
    loop=loops.BROADCASTS,
    ignore_result=True,
)
def launch_broadcasts(**_future: Any) -> dict[str, int]:
    """Goes on with broadcasts: launches, counts, ends."""
    return maintain_broadcasts(now=clock.now())


@shared_task(
    name="notifications.tasks.apply_receipts",
    base=RoundTask,
    loop=loops.RECEIPTS,
    ignore_result=True,
)
def apply_receipts(**_future: Any) -> int:
    """Applies what vendors reported."""
    return apply_due(now=clock.now())


@shared_task(
    name="notifications.tasks.ask_providers",
    base=RoundTask,
    loop=loops.POLLING,
    ignore_result=True,
)
def ask_providers(**_future: Any) -> int:
    """Asks providers what became of messages in doubt."""
    return poll_due(now=clock.now())


@shared_task(
    name="notifications.tasks.tell_webhooks",
    base=RoundTask,
    loop=loops.WEBHOOKS,
    ignore_result=True,
)
def tell_webhooks(**_future: Any) -> int:
    """Tells the platform's endpoints what became of messages."""
    return post_due(now=clock.now())
