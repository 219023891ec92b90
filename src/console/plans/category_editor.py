"""The page on which a category is made, and changed."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from console.casting.fields.choices import Choice, named_choices
from console.casting.seen import check_seen
from console.forms import FormKind, form_page, saved_or_shown
from console.guard import Visit
from console.once import run_once
from console.plans.categories import PATH
from console.plans.category_form import (
    UNITS,
    CategoryForm,
    category_beside,
    form_of_category,
    new_category_form,
    read_category_form,
    seen_of_category,
)
from notifications.domain.errors import CarillonError
from notifications.features.preferences.categories import CategoryService
from notifications.models import Category

_KIND = FormKind(
    "plans/category_form.html",
    "categories",
    PATH,
    seen_of_category,
    form_of_category,
    category_beside,
)
_BASES = (
    ("contract", gettext_lazy("contract: people need it for what they use")),
    ("consent", gettext_lazy("consent: only to people who gave it")),
    ("legal_obligation", gettext_lazy("legal obligation: it cannot be unsubscribed")),
)
_CRASHES = (
    ("resend", gettext_lazy("uncertain messages are sent again")),
    ("hold", gettext_lazy("uncertain messages wait for a decision")),
)
_DIGESTS = (
    ("", gettext_lazy("as the service is set")),
    ("immediate", gettext_lazy("each message at once")),
    ("hourly", gettext_lazy("once an hour")),
    ("daily", gettext_lazy("once a day")),
    ("weekly", gettext_lazy("once a week")),
    ("never", gettext_lazy("in the inbox only")),
)
_UNIT_NAMES = {
    "days": gettext_lazy("days"),
    "hours": gettext_lazy("hours"),
    "minutes": gettext_lazy("minutes"),
    "seconds": gettext_lazy("seconds"),
}


def new_category(visit: Visit) -> HttpResponse:
    """Shows the empty form; a POST makes the category."""
    if not visit.is_post:
        return _editor(visit, new_category_form())
    form = read_category_form(visit)

    def save() -> str:
        body = form.body(creating=True)

        def create() -> str:
            return str(CategoryService().create(body=body, caller=visit.caller).id)

        return run_once(visit, f"{PATH}/new", body, create)

    show = partial(_editor, visit, form)
    return saved_or_shown(visit, _KIND, save, _("The category was made."), show=show)


def edit_category(visit: Visit, number: int) -> HttpResponse:
    """Shows the form of a category; a POST changes it."""
    found = CategoryService().get(identifier=number)
    row = Category.objects.get(pk=found.id)
    if not visit.is_post:
        return _editor(visit, form_of_category(visit, row), row=row)
    form = read_category_form(visit)

    def save() -> str:
        with transaction.atomic():
            check_seen(visit, seen_of_category(Category.objects.select_for_update().get(pk=row.pk)))
            body = form.body(creating=False)
            CategoryService().change(identifier=row.pk, body=body, caller=visit.caller)
        return str(row.pk)

    show = partial(_editor, visit, form, row=row)
    return saved_or_shown(visit, _KIND, save, _("The category was changed."), show=show)


def _editor(
    visit: Visit,
    form: CategoryForm,
    *,
    row: Category | None = None,
    fault: CarillonError | None = None,
) -> HttpResponse:
    context: dict[str, Any] = {
        "caps": form.with_blank_cap(),
        "bases": named_choices(_BASES),
        "crashes": named_choices(_CRASHES),
        "digests": named_choices(_DIGESTS),
        "units": named_choices((name, _UNIT_NAMES[name]) for name in UNITS),
        "switch_choices": [
            Choice("", _("as the service is set")),
            Choice("yes", _("on")),
            Choice("no", _("off")),
        ],
    }
    return form_page(visit, _KIND, form, context, row=row, fault=fault)
