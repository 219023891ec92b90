"""Read-only admin classes: all changes go through the services.

Who sees rows follows from the role of the member of staff, as in the API. Django's own permissions
and groups count for nothing here.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from directory.models import User
from notifications.domain.identifiers import parse_key
from notifications.features.access.principals import caller_of_user

MOST = 5_000
MOST_FOUND = 500
"""The most rows that a search finds by one column."""


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


class ExactSearch(admin.ModelAdmin):  # type: ignore[type-arg]  # none at run time
    """Finds rows by what has an index.

    Django's own search casts numbers to text, and so reads all rows.
    """

    #: The columns in which a search finds an exact number. Where it is empty, Django searches.
    found_by: tuple[str, ...] = ()

    def get_search_fields(self, request: HttpRequest) -> Any:
        """Returns the columns; the page has a field for a search where there are some."""
        return self.found_by or super().get_search_fields(request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Returns the rows that a text names, and that none of them is there twice."""
        if not self.found_by:
            return super().get_search_results(request, queryset, search_term)
        text = search_term.strip()
        return (queryset.filter(pk__in=self.keys_of(text)) if text else queryset), False

    def keys_of(self, text: str) -> set[Any]:
        """Returns the keys of the rows that a text names: the newest MOST_FOUND by each column."""
        number = parse_key(text)
        found: set[Any] = set()
        for name in self.found_by if number is not None else ():
            rows = self.model._default_manager.filter(**{name: number}).order_by("-pk")
            found.update(rows.values_list("pk", flat=True)[:MOST_FOUND])
        return found


class ReadOnlyAdmin(ExactSearch):
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
