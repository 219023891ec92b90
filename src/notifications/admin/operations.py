"""Dead letters, failed items, kill switches, operator actions, workers and categories."""

from __future__ import annotations

from django.contrib import admin

from notifications.admin.readonly import ReadOnlyAdmin
from notifications.models import (
    Category,
    DeadLetter,
    ItemFault,
    KillSwitch,
    OperatorAction,
    WorkerProcess,
)


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    scope = "operations"
    list_display = ("id", "message_id", "channel", "provider", "code", "failed_at", "resolution")
    list_filter = ("channel", "resolution")
    search_fields = ("=message_id", "code")
    exclude = ("last_result",)


@admin.register(ItemFault)
class ItemFaultAdmin(ReadOnlyAdmin):
    scope = "operations"
    list_display = ("id", "work", "item", "tries", "set_aside", "error", "trace", "failed_at")
    list_filter = ("work", "set_aside")
    search_fields = ("=item", "=trace")


@admin.register(KillSwitch)
class KillSwitchAdmin(ReadOnlyAdmin):
    scope = "operations"
    list_display = ("scope", "value", "reason", "actor", "created_at")


@admin.register(OperatorAction)
class OperatorActionAdmin(ReadOnlyAdmin):
    scope = "audit:read"
    list_display = ("at", "actor", "action", "target", "reason")
    search_fields = ("=actor", "action")


@admin.register(WorkerProcess)
class WorkerAdmin(ReadOnlyAdmin):
    scope = "operations"
    list_display = ("owner", "lanes", "started_at", "lease_until")


@admin.register(Category)
class CategoryAdmin(ReadOnlyAdmin):
    scope = "notifications:read"
    list_display = ("key", "name", "legal_basis", "marketing", "crash_policy", "retention_days")
