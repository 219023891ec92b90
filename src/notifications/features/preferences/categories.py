"""CategoryService: the kinds of notification that users and operators configure as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from django.db import IntegrityError, transaction

from directory.models import SubscriberList
from directory.texts import is_storable
from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, NotFound
from notifications.domain.identifiers import parse_identifier
from notifications.engine.shared_rows import refresh_categories
from notifications.features.access.service import missing_scope
from notifications.features.preferences.category_body import Cap, CategoryResponse, read_category
from notifications.infra import clock
from notifications.models import Category, NotificationTemplate
from notifications.models.audit.actions import Values, record_action, values_of
from notifications.models.content.category import SEEDED

WRITE_SCOPE = "categories:write"


class CategoryService:
    """Reads and changes categories. Every change is logged with its actor.

    This process applies a change at once, others within seconds.
    """

    def list(self, *, after: int = 0, limit: int = 50) -> list[CategoryResponse]:
        """Returns categories by ascending id."""
        rows = Category.objects.filter(retired_at__isnull=True, pk__gt=after).order_by("pk")
        return [_to_response(row) for row in rows[:limit]]

    def get(self, *, identifier: object) -> CategoryResponse:
        """Returns one category, by id or key.

        Raises:
            NotFound: unknown_category.
        """
        return _to_response(_find(identifier))

    def create(self, *, body: Mapping[str, Any], caller: Caller) -> CategoryResponse:
        """Creates a category. The key of a retired category may be used again.

        Raises:
            InvalidRequest: with the error of every field.
            Conflict: key_taken.
        """
        _require_scope(caller)
        values = read_category(body, creating=True)
        try:
            with transaction.atomic():
                row = _new_row(values["key"])
                for name, value in values.items():
                    setattr(row, name, value)
                row.name = row.name or row.key.capitalize()
                row.save()
                _log_action(caller, "category.made", row, after=values_of(row))
        except IntegrityError as error:
            raise _key_conflict(values["key"]) from error
        refresh_categories()
        return _to_response(row)

    def change(
        self, *, identifier: object, body: Mapping[str, Any], caller: Caller
    ) -> CategoryResponse:
        """Changes the fields that the body names.

        Raises:
            InvalidRequest: with the error of every field.
            NotFound: unknown_category.
        """
        _require_scope(caller)
        values = read_category(body, creating=False)
        with transaction.atomic():
            row = _find(identifier)
            before = values_of(row)
            for name, value in values.items():
                setattr(row, name, value)
            row.save(update_fields=list(values))
            _log_action(caller, "category.changed", row, before=before, after=values_of(row))
        refresh_categories()
        return _to_response(row)

    def delete(self, *, identifier: object, caller: Caller) -> None:
        """Retires a category: nothing can be sent in it; old notifications still name it.

        Raises:
            NotFound: unknown_category.
            Conflict: category_is_seeded, category_in_use.
        """
        _require_scope(caller)
        with transaction.atomic():
            row = _find(identifier)
            if row.key in SEEDED:
                detail = f"{row.key} is built in and cannot be deleted: change it instead"
                raise Conflict(detail, code="category_is_seeded")
            users = NotificationTemplate.objects.filter(category=row).order_by("pk")
            paths = list(users.values_list("path", flat=True)[:3])
            if paths:
                detail = (
                    f"templates use it ({', '.join(paths)}): move them to another category first"
                )
                raise Conflict(detail, code="category_in_use")
            named = SubscriberList.objects.filter(category=row.key).order_by("pk")
            slugs = list(named.values_list("slug", flat=True)[:3])
            if slugs:
                detail = f"mailing lists use it ({', '.join(slugs)}): change them first"
                raise Conflict(detail, code="category_in_use")
            row.retired_at = clock.now()
            row.save(update_fields=["retired_at"])
            _log_action(caller, "category.retired", row, before=values_of(row))
        refresh_categories()


def _require_scope(caller: Caller) -> None:
    if not caller.may(WRITE_SCOPE):
        raise missing_scope(WRITE_SCOPE)


def _find(identifier: object) -> Category:
    number = parse_identifier(identifier)
    key = str(identifier)
    named = {"pk": number} if isinstance(number, int) else {"key": key}
    rows = Category.objects.filter(retired_at__isnull=True, **named)
    row = rows.first() if is_storable(key) else None  # no row has a key that the database refuses
    if row is None:
        raise NotFound(f"there is no category {identifier}", code="unknown_category")
    return row


def _new_row(key: str) -> Category:
    """Returns a row for a new category; it reuses the row of a retired one with the same key."""
    found = Category.objects.filter(key=key).first()
    if found is None:
        return Category(key=key)
    if found.retired_at is None:
        raise _key_conflict(key)
    return Category(pk=found.pk, key=key)


def _key_conflict(key: str) -> Conflict:
    return Conflict(f"the category {key} exists already: change it instead", code="key_taken")


def _log_action(
    caller: Caller, action: str, row: Category, *, before: Values = None, after: Values = None
) -> None:
    record_action(
        actor=caller.name,
        action=action,
        target=f"category:{row.key}",
        at=clock.now(),
        before=before,
        after=after,
    )


def _to_response(row: Category) -> CategoryResponse:
    return CategoryResponse(
        id=row.pk,
        key=row.key,
        name=row.name,
        legal_basis=row.legal_basis,
        marketing=row.marketing,
        crash_policy=row.crash_policy,
        default_preferences=row.default_preferences,
        caps=[msgspec.convert(cap, Cap) for cap in row.caps or ()],
        unsubscribable=row.unsubscribable,
        trackable=row.trackable,
        retention_days=row.retention_days,
    )
