"""Saved segments: their criteria in words; on request their people, and how many there are."""

from __future__ import annotations

from typing import Any

import msgspec
from django.http import HttpResponse
from django.utils.translation import gettext as _

from console.faults import said
from console.guard import Visit, may_open
from console.paging import PAGE_ROWS, after_of, listed
from console.shell import act, page, url_with
from notifications.domain.errors import CarillonError
from notifications.domain.identifiers import parse_key
from notifications.features.access.throttles import count_call
from notifications.features.audiences.schemas import AudiencePerson
from notifications.features.audiences.segments import SegmentService
from notifications.features.audiences.service import AudienceService
from notifications.infra import clock

PATH = "/console/segments"
COUNTS_A_MINUTE = 6
"""A count reads all people of the segment, so that a member of staff has few of them."""
_PEOPLE, _COUNT = "people", "count"


def segments(visit: Visit) -> HttpResponse:
    """Shows segments, the oldest first."""
    found = SegmentService().list(caller=visit.caller, after=after_of(visit), limit=PAGE_ROWS + 1)
    context: dict[str, Any] = {
        **listed(visit, PATH, found, lambda row: row.key),
        "may_write": may_open(visit, "console/segments/new"),
    }
    return page(visit, "plans/segments.html", context, section="segments")


def segment(visit: Visit, number: int) -> HttpResponse:
    """Shows one segment; with `show=people` a page of its people, with `show=count` their number.

    The links to the other pages carry the number, which is not counted again.
    """
    found = SegmentService().get(identifier=number, caller=visit.caller)
    path, wants_people = f"{PATH}/{number}", visit.given("show") in (_PEOPLE, _COUNT)
    fault, people, count = "", list[AudiencePerson](), parse_key(visit.given("count"))
    if wants_people:
        try:
            people = _people(visit, number)
            if visit.given("show") == _COUNT:
                count = _count(visit, number)
        except CarillonError as error:
            fault = said(error)
    filters = {"show": _PEOPLE, "count": count or ""}
    context: dict[str, Any] = {
        "segment": found,
        "criteria": msgspec.json.format(msgspec.json.encode(found.criteria)).decode(),
        "fault": fault,
        "count": count,
        "wants_people": wants_people,
        "show": url_with(path, show=_PEOPLE),
        "show_count": url_with(path, show=_COUNT),
        **listed(visit, path, people, lambda person: person.id, filters),
        "may_write": may_open(visit, "console/segments/<int:number>/edit"),
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


def _people(visit: Visit, number: int) -> list[AudiencePerson]:
    """Returns one more person than a page has.

    Raises:
        InvalidRequest: the criteria name something that no longer exists.
    """
    return AudienceService().preview(
        audience=_audience(number),
        caller=visit.caller,
        now=clock.now(),
        after=after_of(visit),
        limit=PAGE_ROWS + 1,
    )


def _count(visit: Visit, number: int) -> int:
    """Returns how many people a segment has.

    Raises:
        InvalidRequest: the criteria name something that no longer exists.
        Throttled: the member of staff counted COUNTS_A_MINUTE times within a minute.
    """
    now = clock.now()
    count_call("segment-count", visit.caller, most=COUNTS_A_MINUTE, now=now)
    found = AudienceService().count(audience=_audience(number), caller=visit.caller, now=now)
    return found.count


def _audience(number: int) -> dict[str, object]:
    return {"rule": "segment", "segment_id": number}
