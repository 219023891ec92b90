"""Read-only admin classes: all changes go through the services."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.functional import cached_property

MOST = 5_000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # takes no argument at run time
    """Counts up to a limit, because a full count reads all rows, which may be millions."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows[:MOST].count())


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # none at run time
    """Shows rows, the newest first."""

    actions = None
    ordering = ("-pk",)
    list_per_page = 50
    show_full_result_count = False
    paginator = BoundedPaginator

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
