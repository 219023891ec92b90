"""Child processes of `bench console`: many messages of a month, and the session of an admin."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Max
from django.test import Client

from carillon.bench.harness.records.ageingrole import insert_messages
from directory.models import User
from notifications.api.permissions.console_pages import CONSOLE_ROLES
from notifications.infra import clock
from notifications.models import Category, DeadLetter, NotificationMessage

_AT_ONCE = 10_000
_DAYS = 30
_STATUSES = ("delivered", "delivered", "sent", "read", "failed")
_CHANNELS = ("email", "in_app", "push", "sms")
_LETTERS = 2_000


def month_of_messages(count: str) -> dict[str, Any]:
    """Inserts messages of the last 30 days for all people, with attempts and events.

    Each 10,000 have one time, state and channel. 2,000 of them have an open dead letter.
    """
    category = Category.objects.get(key="payment").pk
    newest = User.objects.aggregate(newest=Max("pk"))["newest"]
    steps = max(1, int(count) // _AT_ONCE)
    for step in range(steps):
        at = clock.now() - timedelta(days=_DAYS) * (1 - (step + 1) / steps)
        with transaction.atomic():
            insert_messages(
                at,
                category,
                people=newest,
                channel=_CHANNELS[step % len(_CHANNELS)],
                status=_STATUSES[step % len(_STATUSES)],
            )
    rows = NotificationMessage.objects.order_by("-pk")[:_LETTERS]
    DeadLetter.objects.bulk_create(
        DeadLetter(
            message_id=row.pk,
            notification_id=row.notification_id,
            channel=row.channel,
            provider="smtp",
            category="payment",
            code="timeout",
            failed_at=clock.now(),
            last_error="no response within 10 s",
        )
        for row in rows
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return {"messages": steps * _AT_ONCE}


def console_visit(count: str) -> dict[str, Any]:
    """Returns the session of a new admin, the lists of the console, and pages of some rows."""
    admin = User.objects.create_user("bench-admin", password=None, staff_role="admin")
    client = Client()
    client.force_login(admin)
    numbers = random.Random(7)
    newest = NotificationMessage.objects.aggregate(newest=Max("pk"))["newest"]
    keys = [newest - numbers.randrange(100_000) for _ in range(int(count))]
    rows = NotificationMessage.objects.filter(pk__in=keys).select_related("notification")
    some = list(rows)
    return {
        "session": client.cookies["sessionid"].value,
        "lists": [f"/{pattern}" for pattern in CONSOLE_ROLES if "<" not in pattern],
        "notifications": [str(row.notification.uuid) for row in some],
        "people": [row.user_id for row in some],
    }
