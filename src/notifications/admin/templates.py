"""Templates and their published versions."""

from __future__ import annotations

from django.contrib import admin

from notifications.admin.readonly import ReadOnlyAdmin
from notifications.models import NotificationTemplate, TemplateVersion


@admin.register(NotificationTemplate)
class TemplateAdmin(ReadOnlyAdmin):
    scope = "templates:read"
    list_display = ("path", "name", "category", "status", "is_active", "updated_at")
    list_filter = ("status", "is_active")
    search_fields = ("path", "name")


@admin.register(TemplateVersion)
class VersionAdmin(ReadOnlyAdmin):
    scope = "templates:read"
    list_display = ("id", "template", "number", "default_locale", "published_at")
    search_fields = ("template__path",)
