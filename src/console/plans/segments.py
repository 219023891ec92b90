"""Saved segments: their criteria in words, and on request the people whom they find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from django.http import HttpResponse
from django.utils.translation import gettext as _

from console.guard import Visit
from console.paging import PAGE_ROWS, after_of, cut, page_links
from console.shell import act, may_open, page, url_with
from notifications.domain.errors import CarillonError
from notifications.features.audiences.schemas import AudiencePerson
from notifications.features.audiences.segments import SegmentService
from notifications.features.audiences.service import AudienceService
from notifications.infra import clock

PATH = "/console/segments"
_PEOPLE = "people"


def segments(visit: Visit) -> HttpResponse:
    """Shows segments, the oldest first."""
    found = SegmentService().list(caller=visit.caller, after=after_of(visit), limit=PAGE_ROWS + 1)
    rows, following = cut(found, lambda row: row.key)
    context: dict[str, Any] = {
        "rows": rows,
        "links": page_links(visit, PATH, {}, next_after=following),
    }
    return page(visit, "plans/segments.html", context, section="segments")


def segment(visit: Visit, number: int) -> HttpResponse:
    """Shows one segment; with `show=people`, a page of its people and their number."""
    found = SegmentService().get(identifier=number, caller=visit.caller)
    path, wants_people = f"{PATH}/{number}", visit.given("show") == _PEOPLE
    fault, people, count = "", list[AudiencePerson](), 0
    if wants_people:
        try:
            people, count = _people(visit, number)
        except CarillonError as error:
            fault = error.detail
    rows, following = cut(people, lambda person: person.id)
    context: dict[str, Any] = {
        "segment": found,
        "criteria": msgspec.json.format(msgspec.json.encode(found.criteria)).decode(),
        "fault": fault,
        "rows": rows,
        "count": count,
        "wants_people": wants_people,
        "show": url_with(path, show=_PEOPLE),
        "links": page_links(visit, path, {"show": _PEOPLE}, next_after=following),
        "may_delete": may_open(visit, "console/segments/<int:number>/delete"),
    }
    status = 400 if fault else 200
    return page(visit, "plans/segment.html", context, section="segments", status=status)


def delete(visit: Visit, number: int) -> HttpResponse:
    """Deletes a segment."""

    def work() -> str:
        SegmentService().delete(identifier=number, caller=visit.caller)
        return _("The segment was deleted.")

    return act(visit, work, back=PATH, back_if_refused=f"{PATH}/{number}")


def _people(visit: Visit, number: int) -> tuple[list[AudiencePerson], int]:
    """Returns one more person than a page has, and how many there are.

    Raises:
        InvalidRequest: the criteria name something that no longer exists.
    """
    audience, now = {"rule": "segment", "segment_id": number}, clock.now()
    service = AudienceService()
    people: Sequence[AudiencePerson] = service.preview(
        audience=audience,
        caller=visit.caller,
        now=now,
        after=after_of(visit),
        limit=PAGE_ROWS + 1,
    )
    return list(people), service.count(audience=audience, caller=visit.caller, now=now).count
