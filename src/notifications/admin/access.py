"""API keys. The API and the command line create, rotate and revoke them."""

from __future__ import annotations

from django.contrib import admin

from notifications.admin.readonly import ReadOnlyAdmin
from notifications.models import ApiKey


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    scope = "api-keys:write"
    list_display = ("id", "name", "prefix", "kind", "created_at", "last_used_at", "revoked_at")
    list_filter = ("kind",)
    search_fields = ("name", "=prefix")
    exclude = ("key_hash",)
