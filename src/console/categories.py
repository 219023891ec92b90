"""The categories that filters and forms offer."""

from __future__ import annotations

from notifications.features.preferences.categories import CategoryService

MOST = 100


def category_keys(chosen: str = "") -> list[str]:
    """Returns the keys of the first MOST categories, and of the chosen one. Makes one query.

    chosen: it may be retired, or come later. A browser would choose another one in its place.
    """
    found = [each.key for each in CategoryService().list(limit=MOST)]
    return [*found, chosen] if chosen and chosen not in found else found
