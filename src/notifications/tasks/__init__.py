"""The Celery tasks, by their documented names. The features do the work."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from notifications.domain import loops
from notifications.features.audit.sealer import seal_due
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
from notifications.tasks.sign_in import send_reset_mail

__all__ = [
    "apply_receipts",
    "cleanup_cancelled_notifications",
    "close_digests",
    "deliver",
    "launch_broadcasts",
    "maintain",
    "poll_providers",
    "post_status_events",
    "process_scheduled_notifications",
    "prove_templates",
    "retry_failed_notifications",
    "seal_audit",
    "send_notification_task",
    "send_reset_mail",
]


@shared_task(name="notifications.tasks.deliver", ignore_result=True)
def deliver(*, lane: str, **_future: Any) -> None:
    """Wakes the worker of this process, which reads from the database what is due."""
    wakeups.poke([lane])


@shared_task(
    name="notifications.tasks.maintain",
    base=RoundTask,
    loop=loops.UPKEEP,
    ignore_result=True,
)
def maintain(**_future: Any) -> dict[str, int]:
    """Deletes expired rows and takes over the batches of dead workers."""
    return maintain_now()


@shared_task(
    name="notifications.tasks.seal_audit",
    base=RoundTask,
    loop=loops.AUDIT,
    ignore_result=True,
)
def seal_audit(**_future: Any) -> int:
    """Seals new entries of the audit log."""
    return seal_due(now=clock.now())


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
    """Renders the examples of versions that are not proved since the last upgrade."""
    return prove_due(now=clock.now())


@shared_task(
    name="notifications.tasks.launch_broadcasts",
    base=RoundTask,
    loop=loops.BROADCASTS,
    ignore_result=True,
)
def launch_broadcasts(**_future: Any) -> dict[str, int]:
    """Continues broadcasts: launches, counts and ends them."""
    return maintain_broadcasts(now=clock.now())


@shared_task(
    name="notifications.tasks.apply_receipts",
    base=RoundTask,
    loop=loops.RECEIPTS,
    ignore_result=True,
)
def apply_receipts(**_future: Any) -> int:
    """Applies the receipts of vendors."""
    return apply_due(now=clock.now())


@shared_task(
    name="notifications.tasks.ask_providers",
    base=RoundTask,
    loop=loops.POLLING,
    ignore_result=True,
)
def poll_providers(**_future: Any) -> int:
    """Polls providers for the results of uncertain messages."""
    return poll_due(now=clock.now())


@shared_task(
    name="notifications.tasks.tell_webhooks",
    base=RoundTask,
    loop=loops.WEBHOOKS,
    ignore_result=True,
)
def post_status_events(**_future: Any) -> int:
    """Posts status events to the platform's endpoints."""
    return post_due(now=clock.now())
