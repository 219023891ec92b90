"""The page on which a segment is written, counted and changed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import transaction
from django.http import HttpResponse
from django.utils.translation import gettext as _

from console.casting.fields.choices import Choice, condition_choices
from console.casting.seen import check_seen
from console.casting.surveys import count_people
from console.forms import FormKind, form_page, saved_or_shown
from console.guard import Visit
from console.once import run_once
from console.plans.segment_form import (
    ALL,
    ANY,
    SegmentForm,
    form_of_segment,
    new_segment_form,
    read_segment_form,
    seen_of_segment,
    segment_beside,
)
from console.plans.segments import PATH
from directory.models import Segment
from notifications.api.bodies import check_body
from notifications.domain.errors import CarillonError
from notifications.features.audiences.schemas import SegmentBody
from notifications.features.audiences.segments import SegmentService

_KIND = FormKind(
    "plans/segment_form.html", "segments", PATH, seen_of_segment, form_of_segment, segment_beside
)
Body = dict[str, Any]


def new_segment(visit: Visit) -> HttpResponse:
    """Shows the empty form; a POST counts, or saves the segment."""
    if not visit.is_post:
        return _editor(visit, new_segment_form())

    def save(given: Body) -> str:
        def create() -> str:
            found = check_body(given, SegmentBody)
            made = SegmentService().create(
                name=found.name,
                criteria=found.criteria,
                description=found.description,
                caller=visit.caller,
            )
            return str(made.key)

        return run_once(visit, f"{PATH}/new", given, create)

    return _answer(visit, save, _("The segment was saved."))


def edit_segment(visit: Visit, number: int) -> HttpResponse:
    """Shows the form of a segment; a POST counts, or changes it."""
    found = SegmentService().get(identifier=number, caller=visit.caller)
    row = Segment.objects.get(pk=found.key)
    if not visit.is_post:
        return _editor(visit, form_of_segment(visit, row), row=row)

    def save(given: Body) -> str:
        with transaction.atomic():
            locked = Segment.objects.select_for_update().get(pk=row.pk)
            check_seen(visit, seen_of_segment(locked))
            body = check_body(given, SegmentBody)
            SegmentService().update(
                identifier=row.pk,
                name=body.name,
                criteria=body.criteria,
                description=body.description,
                caller=visit.caller,
            )
        return str(row.pk)

    return _answer(visit, save, _("The segment was changed."), row=row)


def _answer(
    visit: Visit, save: Callable[[Body], str], done: str, *, row: Segment | None = None
) -> HttpResponse:
    """Saves, or counts the people and shows the form again."""
    form = read_segment_form(visit)
    return saved_or_shown(
        visit,
        _KIND,
        lambda: save(form.body()),
        done,
        show=partial(_editor, visit, form, row=row),
        count=lambda: count_people(visit, {"rule": "segment", "criteria": form.criteria()}),
    )


def _editor(
    visit: Visit,
    form: SegmentForm,
    *,
    row: Segment | None = None,
    count: int | None = None,
    fault: CarillonError | None = None,
) -> HttpResponse:
    context: dict[str, Any] = {
        "count": count,
        "choices": condition_choices(),
        "where_rows": form.rows.with_blanks().where,
        "matches": [
            Choice(ALL, _("all of them hold")),
            Choice(ANY, _("at least one of them holds")),
        ],
    }
    return form_page(visit, _KIND, form, context, row=row, fault=fault)
