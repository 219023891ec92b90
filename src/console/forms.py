"""What pages with a form that writes a row share: saving, showing errors, and not overwriting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from console.faults import faults_of, is_changed, status_of
from console.guard import Visit
from console.once import new_token
from console.shell import page
from notifications.domain.errors import CarillonError

ROWS, COUNT = "rows", "count"
"""What the buttons `do` say that show the form again: with a row more, or with a count."""
LONGEST_STORED = 300
"""Characters of a stored value that are shown beside what was typed."""
FieldTexts = list[tuple[str, str]]
"""Names of fields, each with a text about it."""


class FormKind(NamedTuple):
    """A page with a form that writes rows of one kind."""

    template: str
    #: The entry of the navigation.
    section: str
    #: The path of the list.
    path: str
    #: Returns the digest of a row.
    seen_of: Callable[[Any], str]
    #: Returns the form that says what a row is.
    form_of: Callable[[Visit, Any], Any]
    #: Takes two forms; returns the fields that the second one has otherwise, with its values.
    beside: Callable[[Any, Any], FieldTexts]


def saved_or_shown(
    visit: Visit,
    kind: FormKind,
    save: Callable[[], str],
    done: str,
    *,
    show: Callable[..., HttpResponse],
    count: Callable[[], object] | None = None,
) -> HttpResponse:
    """Saves what a form says, and leads to its page; or shows the form again.

    save: returns the key of the row. done: what was done, as a sentence. show: returns the form,
    with a `fault`, with a `count`, or as it is. count: returns what the button *Count* shows.
    """
    asked, more = visit.given("do"), dict[str, object]()
    try:
        if asked == COUNT and count is not None:
            more["count"] = count()
        elif asked != ROWS:
            key = save()
            messages.success(visit.request, done)
            return HttpResponseRedirect(f"{kind.path}/{key}")
    except CarillonError as error:
        more["fault"] = error
    return show(**more)


def form_page(
    visit: Visit,
    kind: FormKind,
    form: Any,
    context: Mapping[str, Any],
    *,
    row: Any,
    fault: CarillonError | None,
) -> HttpResponse:
    """Returns the page of a form. row: the stored row; None for a new one. form: as it was sent.

    context: what the template shows besides.
    """
    seen, faults = _seen_and_faults(visit, kind, form, row, fault)
    shared = {
        "form": form,
        "row": row,
        "seen": seen,
        "faults": faults,
        "is_part": visit.is_part,
        "once": new_token(),
        "cancel": f"{kind.path}/{row.pk}" if row else kind.path,
    }
    # A script shows a part at 200 alone.
    status = 200 if fault is None or visit.is_part else status_of(fault)
    shown = {**shared, **context}
    return page(visit, kind.template, shown, section=kind.section, status=status)


def _seen_and_faults(
    visit: Visit, kind: FormKind, typed: Any, row: Any, fault: CarillonError | None
) -> tuple[str, FieldTexts]:
    """Returns the digest of what a form was made of, and its errors by field.

    A form that was changed meanwhile may be saved over what is shown now, beside what was typed.
    """
    faults = faults_of(fault)
    if row is None or (visit.is_post and not is_changed(fault)):
        return visit.given("seen"), faults
    if visit.is_post:
        row.refresh_from_db()
        faults += _stored_now(kind.beside(typed, kind.form_of(visit, row)))
    return kind.seen_of(row), faults


def _stored_now(found: Sequence[tuple[str, str]]) -> FieldTexts:
    """Returns the values of fields that are stored otherwise than typed, as sentences."""
    now = _("stored now: %(value)s")
    return [
        (name, now % {"value": Truncator(value or "-").chars(LONGEST_STORED)})
        for name, value in found
    ]
