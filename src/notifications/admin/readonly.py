"""Read-only admin classes: all changes go through the services.

Who sees rows follows from the role of the member of staff, as in the API. Django's own permissions
and groups count for nothing here.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.functional import cached_property

from directory.models import User
from notifications.features.access.principals import caller_of_user

MOST = 5_000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # takes no argument at run time
    """Counts up to a limit, because a full count reads all rows, which may be millions."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows[:MOST].count())


def may(request: HttpRequest, scope: str) -> bool:
    """Returns whether the signed-in member of staff has a scope, by the role."""
    user = request.user
    return isinstance(user, User) and user.is_active and caller_of_user(user).may(scope)


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # none at run time
    """Shows rows, the newest first, to members of staff whose role has `scope`."""

    #: Every class names one.
    scope: str
    actions = None
    ordering = ("-pk",)
    list_per_page = 50
    show_full_result_count = False
    paginator = BoundedPaginator

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may(request, self.scope)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, self.scope)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
