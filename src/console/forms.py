"""What pages with a form that writes a row share: saving, showing errors, and not overwriting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from console.faults import faults_of, is_changed, status_of
from console.guard import Visit
from console.once import new_token
from notifications.domain.errors import CarillonError

ROWS = "rows"
"""What the button `do` says that shows the form again, with a row more."""
LONGEST_STORED = 300
"""Characters of a stored value that are shown beside what was typed."""
FieldTexts = list[tuple[str, str]]
"""Names of fields, each with a text about it."""


def saved_or_shown(
    visit: Visit,
    save: Callable[[], str],
    done: str,
    *,
    path: str,
    show: Callable[[CarillonError | None], HttpResponse],
) -> HttpResponse:
    """Saves what a form says, and leads to its page; or shows the form again.

    save: returns the key of the row. done: what was done, as a sentence. path: of the list. show:
    returns the form, with an error, or with one more row.
    """
    if visit.given("do") == ROWS:
        return show(None)
    try:
        key = save()
    except CarillonError as error:
        return show(error)
    messages.success(visit.request, done)
    return HttpResponseRedirect(f"{path}/{key}")


def shown_form(
    visit: Visit,
    form: Any,
    *,
    row: Any,
    fault: CarillonError | None,
    path: str,
    seen_of: Callable[[Any], str],
    form_of: Callable[[Visit, Any], Any],
    beside: Callable[[Any, Any], FieldTexts],
) -> dict[str, Any]:
    """Returns what each page with a form shows of it.

    row: the stored row; None for a new one. form: as it was sent. path: of the list. seen_of:
    returns the digest of a row. form_of: returns the form that says what a row is. beside: returns
    the fields that are stored otherwise than typed, with what is stored.
    """
    seen, faults = _seen_and_faults(
        visit, row, form, fault, seen_of=seen_of, form_of=form_of, beside=beside
    )
    return {
        "form": form,
        "row": row,
        "seen": seen,
        "faults": faults,
        "is_part": visit.is_part,
        "once": new_token(),
        "cancel": f"{path}/{row.pk}" if row else path,
    }


def status_of_form(visit: Visit, fault: CarillonError | None) -> int:
    """Returns the status of a form that is shown again. A script shows a part at 200 alone."""
    return 200 if fault is None or visit.is_part else status_of(fault)


def _seen_and_faults(
    visit: Visit,
    row: Any,
    typed: Any,
    fault: CarillonError | None,
    *,
    seen_of: Callable[[Any], str],
    form_of: Callable[[Visit, Any], Any],
    beside: Callable[[Any, Any], FieldTexts],
) -> tuple[str, FieldTexts]:
    """Returns the digest of what a form was made of, and its errors by field.

    A form that was changed meanwhile may be saved over what is shown now, beside what was typed.
    """
    faults = faults_of(fault)
    if row is None or (visit.is_post and not is_changed(fault)):
        return visit.given("seen"), faults
    if visit.is_post:
        row.refresh_from_db()
        faults += _stored_now(beside(typed, form_of(visit, row)))
    return seen_of(row), faults


def _stored_now(found: Sequence[tuple[str, str]]) -> FieldTexts:
    """Returns the values of fields that are stored otherwise than typed, as sentences."""
    now = _("stored now: %(value)s")
    return [
        (name, now % {"value": Truncator(value or "-").chars(LONGEST_STORED)})
        for name, value in found
    ]
