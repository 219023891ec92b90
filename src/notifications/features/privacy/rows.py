"""Finds the rows of an erasure by indexes."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import QuerySet

from notifications.models import Notification, NotificationMessage
from notifications.models.fields import CellHead
from vault.cells import head_of


def notifications_under(key_ids: Iterable[int]) -> QuerySet[Notification]:
    """Returns what was sent to addresses without a user, by the keys of these addresses."""
    rows = Notification.objects.filter(address__isnull=False).alias(head=CellHead("address"))
    return rows.filter(head__in=[head_of(key_id) for key_id in key_ids])


def messages_under(key_ids: Iterable[int]) -> QuerySet[NotificationMessage]:
    """Returns the messages of these notifications."""
    keys = notifications_under(key_ids).values("pk")
    return NotificationMessage.objects.filter(notification_id__in=keys)
