"""Old notifications with everything that belongs to them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from notifications.models import (
    Category,
    DeadLetter,
    DeliveryAttempt,
    LateOutcome,
    MessageEvent,
    Notification,
    NotificationMessage,
    SandboxMessage,
)
from tests.integration.factories import make_user


def old_notification(
    at: datetime,
    *,
    statuses: tuple[str, ...] = ("delivered",),
    category: str = "payment",
    user: Any = None,
    **values: Any,
) -> Notification:
    """Makes a notification at a time, with one message for each status and their facts."""
    user = user or make_user()
    values.setdefault("scheduled_status", None)
    notification = Notification(
        user=user,
        category=Category.objects.get(key=category),
        text={"title": "Title", "message": "Body"},
        created_at=at,
        **values,
    )
    notification.save()
    for number, status in enumerate(statuses):
        add_message(notification, status, at, number)
    return notification


def add_message(notification: Notification, status: str, at: datetime, number: int = 0) -> None:
    """Adds a message with an attempt, an event and what the sandbox stored."""
    key = notification.pk if number == 0 else notification.pk + 100_000 * number
    NotificationMessage.objects.create(
        id=key,
        notification=notification,
        user=notification.user,
        channel="email",
        status=status,
        scheduled_at=at,
        content={"title": "Title", "body": "Body"},
    )
    DeliveryAttempt.objects.create(
        message_id=key, number=1, provider="smtp", verdict="sent", at=at, response={"raw": "250 ok"}
    )
    MessageEvent.objects.create(message_id=key, kind="delivered", at=at)
    LateOutcome.objects.create(message_id=key, provider="smtp", verdict="sent", at=at)
    SandboxMessage.objects.create(message_id=key, channel="email", content={"body": "B"}, at=at)


def dead_letter(notification: Notification, at: datetime, *, resolved: bool) -> DeadLetter:
    """Makes the dead letter of a notification's first message."""
    return DeadLetter.objects.create(
        message_id=notification.pk,
        notification_id=notification.pk,
        channel="email",
        code="uncertain",
        last_result={"raw": "550"},
        failed_at=at,
        resolution="discarded" if resolved else "",
        resolved_at=at if resolved else None,
    )


TABLES = (
    Notification,
    NotificationMessage,
    DeliveryAttempt,
    MessageEvent,
    LateOutcome,
    SandboxMessage,
    DeadLetter,
)


def counts() -> dict[str, int]:
    """Counts the rows of all tables of notifications."""
    return {model.__name__: model._default_manager.count() for model in TABLES}
