"""Reads the origins of messages in a way that no stored value can make fail."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db.models import Min

from notifications.models.content.category import Category, CrashPolicy
from notifications.models.delivery.message import NotificationMessage
from notifications.models.delivery.notification import Notification
from notifications.models.operations.operators import DeadLetter


class MessageOrigin(NamedTuple):
    """What a dead letter stores about a message.

    When its notification or category was deleted, texts are empty and the crash policy is hold.
    """

    message_id: int
    notification_id: int
    channel: str
    attempts: int
    max_attempts: int
    provider: str
    template_version_id: int | None
    category: str
    crash_policy: str

    def dead_letter(
        self, *, code: str, last_error: str, attempts: int, failed_at: datetime
    ) -> DeadLetter:
        """Returns the message's dead letter, which is not stored yet."""
        return DeadLetter(
            message_id=self.message_id,
            notification_id=self.notification_id,
            channel=self.channel,
            provider=self.provider,
            category=self.category,
            template_version_id=self.template_version_id,
            code=code,
            last_error=last_error,
            attempts=attempts,
            failed_at=failed_at,
        )

    def write_dead_letter(
        self, *, code: str, last_error: str, attempts: int, failed_at: datetime
    ) -> None:
        """Writes the message's dead letter, in the caller's transaction."""
        self.dead_letter(
            code=code, last_error=last_error, attempts=attempts, failed_at=failed_at
        ).save(force_insert=True)


def origins_of(keys: Sequence[int]) -> dict[int, MessageOrigin]:
    """Returns the origins of messages, by key. Reads only keys, numbers and names, in 3 queries."""
    rows = list(
        NotificationMessage.objects.filter(pk__in=keys)
        .order_by("pk")
        .values_list("pk", "notification_id", "channel", "attempts", "max_attempts", "provider")
    )
    parents = {
        pk: (version_id, category_id)
        for pk, version_id, category_id in Notification.objects.filter(
            pk__in={row[1] for row in rows}
        ).values_list("pk", "template_version_id", "category_id")
    }
    categories = {
        pk: (key, policy)
        for pk, key, policy in Category.objects.values_list("pk", "key", "crash_policy")
    }
    found = {}
    for key, notification_id, channel, attempts, most, provider in rows:
        version_id, category_id = parents.get(notification_id, (None, 0))
        category, policy = categories.get(category_id, ("", CrashPolicy.HOLD))
        found[key] = MessageOrigin(
            key, notification_id, channel, attempts, most, provider or "", version_id, category,
            policy,
        )  # fmt: skip
    return found


def earliest_expiry(keys: Sequence[int]) -> datetime | None:
    """Returns the earliest time at which one of these messages expires; None when none does."""
    rows = NotificationMessage.objects.filter(pk__in=keys)
    found: datetime | None = rows.aggregate(first=Min("notification__expires_at"))["first"]
    return found
