"""Routes of audiences and saved segments."""

from __future__ import annotations

from notifications.api.bodies import check_body
from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Route
from notifications.features.audiences.schemas import (
    AudienceBody,
    AudienceCountResponse,
    AudiencePreviewResponse,
    SegmentBody,
    SegmentList,
    SegmentResponse,
)
from notifications.features.audiences.segments import WRITE, SegmentService
from notifications.features.audiences.service import READ, AudienceService


def count(request: ApiRequest) -> AudienceCountResponse:
    body = check_body(request.body, AudienceBody)
    return AudienceService().count(audience=body.audience, caller=request.caller, now=request.now)


def preview(request: ApiRequest) -> AudiencePreviewResponse:
    body, page = check_body(request.body, AudienceBody), page_of(request)
    found = AudienceService().preview(
        audience=body.audience,
        caller=request.caller,
        now=request.now,
        after=page.after,
        limit=page.fetch,
    )
    following, previous = links(request, page, [person.id for person in found])
    return AudiencePreviewResponse(results=found[: page.limit], next=following, previous=previous)


def segments(request: ApiRequest) -> SegmentList:
    page = page_of(request)
    found = SegmentService().list(caller=request.caller, after=page.after, limit=page.fetch)
    following, previous = links(request, page, [segment.key for segment in found])
    return SegmentList(results=list(found[: page.limit]), next=following, previous=previous)


def segment(request: ApiRequest) -> SegmentResponse:
    return SegmentService().get(identifier=request.params["id"], caller=request.caller)


def create(request: ApiRequest) -> SegmentResponse:
    body = check_body(request.body, SegmentBody)
    return SegmentService().create(
        name=body.name,
        criteria=body.criteria,
        description=body.description,
        caller=request.caller,
    )


def update(request: ApiRequest) -> SegmentResponse:
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


ROUTES: tuple[Route, ...] = (
    Route(
        name="count_audience",
        method="POST",
        path="/api/v1/audiences/count",
        handler=count,
        summary="Count the users of an audience, and list named users that do not exist.",
        scope=READ,
        body=AudienceBody,
        responses={200: AudienceCountResponse},
    ),
    Route(
        name="preview_audience",
        method="POST",
        path="/api/v1/audiences/preview",
        handler=preview,
        summary="List the users of an audience; post the same body to `next`.",
        scope=READ,
        body=AudienceBody,
        query=PAGE_QUERY,
        responses={200: AudiencePreviewResponse},
    ),
    Route(
        name="list_segments",
        method="GET",
        path="/api/v1/segments",
        handler=segments,
        summary="List saved segments, the oldest first.",
        scope=READ,
        query=PAGE_QUERY,
        responses={200: SegmentList},
    ),
    Route(
        name="create_segment",
        method="POST",
        path="/api/v1/segments",
        handler=create,
        summary="Save criteria under a name.",
        scope=WRITE,
        body=SegmentBody,
        responses={201: SegmentResponse},
        errors=(409,),
        idempotent=True,
    ),
    Route(
        name="get_segment",
        method="GET",
        path="/api/v1/segments/{id}",
        handler=segment,
        summary="Get a saved segment.",
        scope=READ,
        responses={200: SegmentResponse},
        errors=(404,),
    ),
    Route(
        name="replace_segment",
        method="PUT",
        path="/api/v1/segments/{id}",
        handler=update,
        summary="Replace a segment; later uses of it have the new criteria.",
        scope=WRITE,
        body=SegmentBody,
        responses={200: SegmentResponse},
        errors=(404, 409),
    ),
    Route(
        name="delete_segment",
        method="DELETE",
        path="/api/v1/segments/{id}",
        handler=delete,
        summary="Remove a segment; an audience that names it is an error from then on.",
        scope=WRITE,
        responses={204: None},
        errors=(404,),
    ),
)
