"""Saved segments."""

from __future__ import annotations

from notifications.api import segments
from notifications.api.pages import PAGE_QUERY
from notifications.api.route import Route
from notifications.features.audiences.schemas import SegmentAnswer, SegmentBody, SegmentList
from notifications.features.audiences.segments import WRITE
from notifications.features.audiences.service import READ

ROUTES: tuple[Route, ...] = (
    Route(
        name="list_segments",
        method="GET",
        path="/api/v1/segments",
        handler=segments.segments,
        summary="Saved segments, the oldest first.",
        scope=READ,
        query=PAGE_QUERY,
        answers={200: SegmentList},
    ),
    Route(
        name="create_segment",
        method="POST",
        path="/api/v1/segments",
        handler=segments.create,
        summary="Save criteria under a name.",
        scope=WRITE,
        body=SegmentBody,
        answers={201: SegmentAnswer},
        errors=(409,),
        idempotent=True,
    ),
    Route(
        name="get_segment",
        method="GET",
        path="/api/v1/segments/{id}",
        handler=segments.segment,
        summary="A saved segment.",
        scope=READ,
        answers={200: SegmentAnswer},
        errors=(404,),
    ),
    Route(
        name="replace_segment",
        method="PUT",
        path="/api/v1/segments/{id}",
        handler=segments.update,
        summary="Replace a segment; whoever uses it from now on means the new criteria.",
        scope=WRITE,
        body=SegmentBody,
        answers={200: SegmentAnswer},
        errors=(404, 409),
    ),
    Route(
        name="delete_segment",
        method="DELETE",
        path="/api/v1/segments/{id}",
        handler=segments.delete,
        summary="Remove a segment; an audience that names it is an error from then on.",
        scope=WRITE,
        answers={204: None},
        errors=(404,),
    ),
)
