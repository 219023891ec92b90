"""The limit of a member of staff to the categories of their groups."""

from __future__ import annotations

from collections.abc import Iterable

from notifications.domain.callers import Caller
from notifications.domain.errors import Refused
from notifications.models import Category


def check_category(caller: Caller, category_id: int | None) -> None:
    """Checks that the groups of a caller allow a category. None: what has no category.

    A caller that is limited may work with nothing that has no category.

    Raises:
        Refused: category_not_allowed.
    """
    if caller.categories is not None and category_id not in caller.categories:
        raise _refused()


def check_category_keys(caller: Caller, keys: Iterable[str]) -> None:
    """Checks that the groups of a caller allow categories, by key. Makes one query at most.

    Raises:
        Refused: category_not_allowed.
    """
    allowed = allowed_keys(caller)
    if allowed is not None and not allowed.issuperset(keys):
        raise _refused()


def allowed_keys(caller: Caller) -> frozenset[str] | None:
    """Returns the keys of the categories that a caller may work in; None for all."""
    if caller.categories is None:
        return None
    rows = Category.objects.filter(pk__in=caller.categories, retired_at__isnull=True)
    return frozenset(rows.values_list("key", flat=True))


def _refused() -> Refused:
    return Refused(
        "your groups do not include this category: ask an admin to add it to one of them",
        code="category_not_allowed",
    )
