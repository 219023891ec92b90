"""Notifications, messages and attempts. Sealed columns are not shown."""

from __future__ import annotations

from django.contrib import admin

from notifications.admin.readonly import ReadOnlyAdmin
from notifications.models import (
    DeliveryAttempt,
    DeliveryBatch,
    Job,
    MessageEvent,
    Notification,
    NotificationMessage,
)


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    scope = "notifications:read"
    list_display = ("id", "uuid", "user_id", "priority", "source", "scheduled_at", "created_at")
    list_filter = ("priority",)
    search_fields = ("=id", "=user__id")
    raw_id_fields = ("user", "job", "template_version")
    exclude = ("address", "text", "context")


@admin.register(NotificationMessage)
class MessageAdmin(ReadOnlyAdmin):
    scope = "notifications:read"
    list_display = ("id", "channel", "status", "attempts", "provider", "sent_at", "delivered_at")
    list_filter = ("channel", "status")
    search_fields = ("=id",)
    raw_id_fields = ("notification", "user")
    exclude = ("content",)


@admin.register(DeliveryAttempt)
class AttemptAdmin(ReadOnlyAdmin):
    scope = "notifications:read"
    list_display = ("id", "message_id", "number", "provider", "verdict", "error_code", "at")
    list_filter = ("verdict",)
    search_fields = ("=message_id",)
    exclude = ("response",)


@admin.register(MessageEvent)
class EventAdmin(ReadOnlyAdmin):
    scope = "notifications:read"
    list_display = ("id", "message_id", "kind", "reason", "at")
    search_fields = ("=message_id",)


@admin.register(DeliveryBatch)
class BatchAdmin(ReadOnlyAdmin):
    scope = "notifications:read"
    list_display = ("id", "lane", "channel", "source", "size", "due_at", "owner", "lease_until")
    list_filter = ("lane", "channel")


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    scope = "notifications:read"
    list_display = ("id", "uuid", "kind", "source", "total", "accepted", "created_at")
    search_fields = ("=id", "=uuid")
    exclude = ("context",)
