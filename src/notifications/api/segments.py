"""Saved segments."""

from __future__ import annotations

from notifications.api.bodies import check_body
from notifications.api.pages import links, page_of
from notifications.api.route import ApiRequest
from notifications.features.audiences.schemas import SegmentAnswer, SegmentBody, SegmentList
from notifications.features.audiences.segments import SegmentService


def segments(request: ApiRequest) -> SegmentList:
    page = page_of(request)
    found = SegmentService().list(caller=request.caller, after=page.after, limit=page.fetch)
    following, previous = links(request, page, [segment.key for segment in found])
    return SegmentList(results=list(found[: page.limit]), next=following, previous=previous)


def segment(request: ApiRequest) -> SegmentAnswer:
    return SegmentService().get(identifier=request.params["id"], caller=request.caller)


def create(request: ApiRequest) -> SegmentAnswer:
    body = check_body(request.body, SegmentBody)
    return SegmentService().create(
        name=body.name,
        criteria=body.criteria,
        description=body.description,
        caller=request.caller,
    )


def update(request: ApiRequest) -> SegmentAnswer:
    body = check_body(request.body, SegmentBody)
    return SegmentService().update(
        identifier=request.params["id"],
        name=body.name,
        criteria=body.criteria,
        description=body.description,
        caller=request.caller,
    )


def delete(request: ApiRequest) -> tuple[int, None]:
    SegmentService().delete(identifier=request.params["id"], caller=request.caller)
    return 204, None
