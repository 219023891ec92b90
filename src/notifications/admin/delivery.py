"""Notifications, messages and attempts. Sealed columns are not shown."""

from __future__ import annotations

from uuid import UUID

from django.contrib import admin

from directory.texts import is_storable
from notifications.admin.readonly import MOST_FOUND, ReadOnlyAdmin
from notifications.domain.identifiers import key_of, parse_identifier
from notifications.models import (
    DeliveryAttempt,
    DeliveryBatch,
    Job,
    MessageEvent,
    Notification,
    NotificationMessage,
)

_LONGEST_VENDOR_ID = 200


def _notification_key(text: str) -> int | None:
    """Returns the key of the notification with this UUID; None for any other text."""
    uuid = parse_identifier(text)
    if not isinstance(uuid, UUID):
        return None
    rows = Notification.objects.filter(pk=key_of(uuid) or 0, uuid=uuid)
    return rows.values_list("pk", flat=True).first()


def _messages_at_provider(text: str) -> set[int]:
    """Returns the keys of the messages that a provider gave this id."""
    if len(text) > _LONGEST_VENDOR_ID or not is_storable(text):
        return set()
    rows = DeliveryAttempt.objects.filter(provider_message_id=text).order_by("-pk")
    return set(rows.values_list("message_id", flat=True)[:MOST_FOUND])


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    scope = "notifications:read"
    list_display = ("id", "uuid", "user_id", "priority", "source", "scheduled_at", "created_at")
    list_filter = ("priority",)
    found_by = ("pk", "user_id")
    search_help_text = "An id or UUID, the number of a person, or the id of a provider's message"
    raw_id_fields = ("user", "job", "template_version")
    exclude = ("address", "text", "context")

    def keys_of(self, text: str) -> set[int]:
        """Returns the keys by id or UUID, by the person, and by the id at a provider."""
        found = super().keys_of(text)
        rows = NotificationMessage.objects.filter(pk__in=_messages_at_provider(text))
        found.update(rows.values_list("notification_id", flat=True))
        if (key := _notification_key(text)) is not None:
            found.add(key)
        return found


@admin.register(NotificationMessage)
class MessageAdmin(ReadOnlyAdmin):
    scope = "notifications:read"
    list_display = ("id", "channel", "status", "attempts", "provider", "sent_at", "delivered_at")
    list_filter = ("channel", "status")
    found_by = ("pk",)
    search_help_text = "An id, the UUID of a notification, or the id of a provider's message"
    raw_id_fields = ("notification", "user")
    exclude = ("content",)

    def keys_of(self, text: str) -> set[int]:
        """Returns the keys by id, by the UUID of the notification, and by the id at a provider."""
        found = super().keys_of(text) | _messages_at_provider(text)
        if (key := _notification_key(text)) is not None:
            rows = NotificationMessage.objects.filter(notification_id=key)
            found.update(rows.values_list("pk", flat=True)[:MOST_FOUND])
        return found


@admin.register(DeliveryAttempt)
class AttemptAdmin(ReadOnlyAdmin):
    scope = "notifications:read"
    list_display = ("id", "message_id", "number", "provider", "verdict", "error_code", "at")
    list_filter = ("verdict",)
    found_by = ("message_id",)
    exclude = ("response",)


@admin.register(MessageEvent)
class EventAdmin(ReadOnlyAdmin):
    scope = "notifications:read"
    list_display = ("id", "message_id", "kind", "reason", "at")
    found_by = ("message_id",)


@admin.register(DeliveryBatch)
class BatchAdmin(ReadOnlyAdmin):
    scope = "notifications:read"
    list_display = ("id", "lane", "channel", "source", "size", "due_at", "owner", "lease_until")
    list_filter = ("lane", "channel")


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    scope = "notifications:read"
    list_display = ("id", "uuid", "kind", "source", "total", "accepted", "created_at")
    found_by = ("pk",)
    exclude = ("context",)

    def keys_of(self, text: str) -> set[int]:
        """Returns the keys by id or UUID."""
        key, found = parse_identifier(text), super().keys_of(text)
        if isinstance(key, UUID):
            found.update(Job.objects.filter(uuid=key).values_list("pk", flat=True))
        return found
