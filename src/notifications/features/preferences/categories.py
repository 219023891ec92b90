"""CategoryService: the kinds of notification that people and operators steer as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from django.db import IntegrityError, transaction

from directory.texts import is_storable
from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, NotFound
from notifications.domain.identifiers import parse_identifier
from notifications.engine.shared_rows import refresh_categories
from notifications.features.access.service import missing_scope
from notifications.features.preferences.category_body import Cap, CategoryResponse, read_category
from notifications.infra import clock
from notifications.models import Category, NotificationTemplate, OperatorAction
from notifications.models.content.category import SEEDED

WRITE_SCOPE = "categories:write"


class CategoryService:
    """Everything that can be done with categories. Every change is written down with its actor.

    This process honours a change at once, others within seconds.
    """

    def list(self, *, after: int = 0, limit: int = 50) -> list[CategoryResponse]:
        """Categories by rising id."""
        rows = Category.objects.filter(retired_at__isnull=True, pk__gt=after).order_by("pk")
        return [_answer(row) for row in rows[:limit]]

    def get(self, *, identifier: object) -> CategoryResponse:
        """One category, by id or key.

        Raises:
            NotFound: unknown_category.
        """
        return _answer(_find(identifier))

    def create(self, *, body: Mapping[str, Any], caller: Caller) -> CategoryResponse:
        """Makes a category; the key of one that was retired may be taken again.

        Raises:
            InvalidRequest: with every field's error.
            Conflict: key_taken.
        """
        _demand_scope(caller)
        values = read_category(body, creating=True)
        try:
            with transaction.atomic():
                row = _fresh(values["key"])
                for name, value in values.items():
                    setattr(row, name, value)
                row.name = row.name or row.key.capitalize()
                row.save()
                _note(caller, "category.made", row)
        except IntegrityError as error:
            raise _taken(values["key"]) from error
        refresh_categories()
        return _answer(row)

    def change(
        self, *, identifier: object, body: Mapping[str, Any], caller: Caller
    ) -> CategoryResponse:
        """Changes what is given.

        Raises:
            InvalidRequest: with every field's error.
            NotFound: unknown_category.
        """
        _demand_scope(caller)
        values = read_category(body, creating=False)
        with transaction.atomic():
            row = _find(identifier)
            for name, value in values.items():
                setattr(row, name, value)
            row.save(update_fields=list(values))
            _note(caller, "category.changed", row)
        refresh_categories()
        return _answer(row)

    def delete(self, *, identifier: object, caller: Caller) -> None:
        """Retires a category: nothing can be sent in it any more; old stories still name it.

        Raises:
            NotFound: unknown_category.
            Conflict: category_is_seeded, category_in_use.
        """
        _demand_scope(caller)
        with transaction.atomic():
            row = _find(identifier)
            if row.key in SEEDED:
                detail = f"{row.key} belongs to the service: change it instead"
                raise Conflict(detail, code="category_is_seeded")
            users = NotificationTemplate.objects.filter(category=row).order_by("pk")
            paths = list(users.values_list("path", flat=True)[:3])
            if paths:
                detail = f"templates are in it ({', '.join(paths)}): move them first"
                raise Conflict(detail, code="category_in_use")
            row.retired_at = clock.now()
            row.save(update_fields=["retired_at"])
            _note(caller, "category.retired", row)
        refresh_categories()


def _demand_scope(caller: Caller) -> None:
    if not caller.may(WRITE_SCOPE):
        raise missing_scope(WRITE_SCOPE)


def _find(identifier: object) -> Category:
    number = parse_identifier(identifier)
    key = str(identifier)
    named = {"pk": number} if isinstance(number, int) else {"key": key}
    rows = Category.objects.filter(retired_at__isnull=True, **named)
    row = rows.first() if is_storable(key) else None  # no row has a key that no database takes
    if row is None:
        raise NotFound(f"there is no category {identifier}", code="unknown_category")
    return row


def _fresh(key: str) -> Category:
    """A row for a new category: that of a retired one with the same key, as if it were new."""
    found = Category.objects.filter(key=key).first()
    if found is None:
        return Category(key=key)
    if found.retired_at is None:
        raise _taken(key)
    return Category(pk=found.pk, key=key)


def _taken(key: str) -> Conflict:
    return Conflict(f"there is a category {key} already: change it instead", code="key_taken")


def _note(caller: Caller, action: str, row: Category) -> None:
    OperatorAction.objects.create(
        actor=caller.name, action=action, target=f"category:{row.key}", at=clock.now()
    )


def _answer(row: Category) -> CategoryResponse:
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
        retention_days=row.retention_days,
    )
