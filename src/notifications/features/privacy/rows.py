"""Finds the rows of an erasure by indexes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from notifications.models import (
    InboundSms,
    Notification,
    NotificationMessage,
    ProviderCallback,
    SealingProgress,
    StoredAttachment,
)
from notifications.models.fields import CellHead
from vault.cells import head_of

_OF_ADDRESSES: dict[str, Any] = {
    "notifications": Notification,
    "attachments": StoredAttachment,
    "callbacks": ProviderCallback,
    "incoming texts": InboundSms,
}
"""Tables whose rows name the key of an address, by the work that seals their old rows."""


def has_old_rows() -> bool:
    """Whether rows of an older release may be about an address, and no key finds them yet."""
    return any(
        _OF_ADDRESSES[row.work].objects.filter(pk__gt=row.position, pk__lte=row.last).exists()
        for row in SealingProgress.objects.filter(work__in=_OF_ADDRESSES)
        if row.position < row.last
    )


def notifications_under(key_ids: Iterable[int]) -> QuerySet[Notification]:
    """Returns what was sent to addresses without a user, by the keys of these addresses."""
    rows = Notification.objects.filter(address__isnull=False).alias(head=CellHead("address"))
    return rows.filter(head__in=[head_of(key_id) for key_id in key_ids])


def messages_under(key_ids: Iterable[int]) -> QuerySet[NotificationMessage]:
    """Returns the messages of these notifications."""
    keys = notifications_under(key_ids).values("pk")
    return NotificationMessage.objects.filter(notification_id__in=keys)
