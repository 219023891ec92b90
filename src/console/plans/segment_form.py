"""The form of a segment: the condition rows of the audience builder, and criteria as JSON.

all, any    whether all rows must hold, or one of them
rows        conditions of the audience builder
criteria    what rows cannot say, as JSON in place of the rows
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from console.casting.draft import LONGEST
from console.casting.fields.audience import (
    AudienceForm,
    AudienceRow,
    form_of_audience,
    read_audience_form,
)
from console.casting.seen import digest_of
from console.guard import Visit
from directory.audiences import criteria_in_words
from directory.models import Segment
from notifications.domain.errors import FieldError, InvalidRequest

ALL, ANY = "all", "any"
_EVERYONE = (AudienceRow("all"),)
_TEXTS = ("name", "description")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentForm:
    """The fields of the form, as texts."""

    texts: Mapping[str, str]
    #: Its conditions are `where`, and its JSON is `text`.
    rows: AudienceForm
    #: Whether all conditions must hold, or one of them.
    match: str = ALL

    def criteria(self) -> dict[str, Any]:
        """Returns the criteria.

        Raises:
            InvalidRequest: nothing is written, rows are incomplete, or the JSON is no object.
        """
        if not self.rows.text and not self.rows.where:
            detail = _("write at least one condition, or JSON")
            raise InvalidRequest([FieldError("criteria", "required", detail)])
        try:
            if self.rows.text:
                return self.rows.audience()
            everyone = AudienceForm(to=_EVERYONE, where=self.rows.where)
            found: dict[str, Any] = everyone.audience()["criteria"]
        except InvalidRequest as error:
            faults = [FieldError("criteria", each.code, each.detail) for each in error.errors]
            raise InvalidRequest(faults) from error
        return {ANY: found[ALL]} if self.match == ANY and ALL in found else found

    def body(self) -> dict[str, Any]:
        """Returns the body that the API takes. Raises as `criteria`."""
        return {**self.texts, "criteria": self.criteria()}


def new_segment_form() -> SegmentForm:
    """Returns the form of a segment that is not saved yet."""
    return SegmentForm(texts=dict.fromkeys(_TEXTS, ""), rows=AudienceForm())


def read_segment_form(visit: Visit) -> SegmentForm:
    """Returns what the visitor wrote."""
    found = read_audience_form(visit.request.POST)
    return SegmentForm(
        texts={name: visit.given(name, longest=LONGEST) for name in _TEXTS},
        rows=AudienceForm(where=found.where, text=visit.given("criteria", longest=LONGEST)),
        match=ANY if visit.given("match") == ANY else ALL,
    )


def form_of_segment(_visit: Visit, row: Segment) -> SegmentForm:
    """Returns the form that changes a segment: in rows where they can say it, else as JSON."""
    texts = {name: str(getattr(row, name)) for name in _TEXTS}
    match, rows = _rows_of(row.criteria)
    return SegmentForm(texts=texts, rows=rows, match=match)


def _rows_of(criteria: Any) -> tuple[str, AudienceForm]:
    """Returns whether all rows must hold, and the rows."""
    is_any = isinstance(criteria, dict) and set(criteria) == {ANY}
    alike = {ALL: criteria[ANY]} if is_any else criteria
    found = form_of_audience({"rule": "segment", "criteria": alike})
    if found.text:
        return ALL, AudienceForm(text=json.dumps(criteria, ensure_ascii=False, indent=1))
    return (ANY if is_any else ALL), AudienceForm(where=found.where)


def seen_of_segment(row: Segment) -> str:
    """Returns a digest of what a member of staff writes of a segment."""
    return digest_of([row.name, row.description, row.criteria])


def segment_beside(typed: SegmentForm, stored: SegmentForm) -> list[tuple[str, str]]:
    """Returns the fields that are stored otherwise than typed, with what is stored."""
    found = [(name, value) for name, value in stored.texts.items() if value != typed.texts[name]]
    criteria = stored.criteria()
    if criteria != typed.criteria():
        found.append(("criteria", criteria_in_words(criteria)))
    return found
