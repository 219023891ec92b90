"""Rows that a page assumes. Run inside an installation."""

from __future__ import annotations

from directory.models import User
from notifications.infra import clock
from notifications.models import Broadcast, DeadLetter, ItemFault, NotificationMessage
from tests.integration.factories import make_messages


def a_broadcast() -> Broadcast:
    """Returns a draft broadcast to all students."""
    return Broadcast.objects.create(
        target_group="all_students", title="Snow", message="Closed", channels=["in_app"]
    )


def awaiting_approval(*ids: int) -> None:
    """Creates broadcasts with these ids that wait for approval by a second person."""
    for each in ids:
        Broadcast.objects.create(
            pk=each,
            target_group="all_students",
            title="Snow",
            message="Closed",
            channels=["in_app"],
            status="awaiting_approval",
            created_by=User.objects.get(username="student1"),
        )


def dead_letters(*ids: int) -> None:
    """Creates dead letters with these ids."""
    for each, message in zip(ids, make_messages(len(ids), in_batch=False), strict=True):
        NotificationMessage.objects.filter(pk=message.pk).update(status="failed")
        DeadLetter.objects.create(
            pk=each,
            message_id=message.pk,
            notification_id=message.notification_id,
            channel="email",
            code="auth",
            last_error="the mail server refuses our credentials",
            failed_at=clock.now(),
        )


def items_set_aside(*ids: int) -> None:
    """Creates failed items with these ids: receipts that are set aside."""
    for each in ids:
        now = clock.now()
        ItemFault.objects.create(
            pk=each, work="receipt", item=each, tries=3, failed_at=now, next_at=now, set_aside=True
        )


def people(last: int) -> None:
    """Creates the missing users with ids from 1 to `last`."""
    known = set(User.objects.values_list("pk", flat=True))
    User.objects.bulk_create(
        User(pk=each, username=f"reader{each}") for each in range(1, last + 1) if each not in known
    )
