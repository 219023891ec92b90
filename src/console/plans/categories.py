"""Categories: on what legal basis people are written to, and how often."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _

from console.guard import Visit, may_open
from console.paging import PAGE_ROWS, after_of, listed
from console.shell import act, page
from notifications.features.preferences.categories import CategoryService
from notifications.models.content.category import SEEDED

PATH = "/console/categories"


def categories(visit: Visit) -> HttpResponse:
    """Shows categories, the oldest first."""
    found = CategoryService().list(after=after_of(visit), limit=PAGE_ROWS + 1)
    context: dict[str, Any] = {
        **listed(visit, PATH, found, lambda row: row.id),
        "may_write": may_open(visit, "console/categories/new"),
    }
    return page(visit, "plans/categories.html", context, section="categories")


def category(visit: Visit, number: int) -> HttpResponse:
    """Shows one category."""
    found = CategoryService().get(identifier=number)
    may_delete = may_open(visit, "console/categories/<int:number>/delete")
    context: dict[str, Any] = {
        "category": found,
        "is_built_in": found.key in SEEDED,
        "may_write": may_open(visit, "console/categories/<int:number>/edit"),
        "may_delete": may_delete and found.key not in SEEDED,
        "switches": sorted(found.default_preferences.items()),
    }
    return page(visit, "plans/category.html", context, section="categories")


def delete(visit: Visit, number: int) -> HttpResponse:
    """Retires a category."""

    def work() -> str:
        CategoryService().delete(identifier=number, caller=visit.caller)
        return _("The category was deleted. Old notifications still name it.")

    return act(visit, work, back=PATH, back_if_refused=f"{PATH}/{number}")
