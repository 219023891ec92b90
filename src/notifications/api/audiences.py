"""Who an audience is."""

from __future__ import annotations

from notifications.api.bodies import check_body
from notifications.api.pages import links, page_of
from notifications.api.route import ApiRequest
from notifications.features.audiences.schemas import (
    AudienceBody,
    AudienceCountAnswer,
    AudiencePreviewAnswer,
)
from notifications.features.audiences.service import AudienceService


def count(request: ApiRequest) -> AudienceCountAnswer:
    body = check_body(request.body, AudienceBody)
    return AudienceService().count(audience=body.audience, caller=request.caller, now=request.now)


def preview(request: ApiRequest) -> AudiencePreviewAnswer:
    body, page = check_body(request.body, AudienceBody), page_of(request)
    found = AudienceService().preview(
        audience=body.audience,
        caller=request.caller,
        now=request.now,
        after=page.after,
        limit=page.fetch,
    )
    following, previous = links(request, page, [person.id for person in found])
    return AudiencePreviewAnswer(results=found[: page.limit], next=following, previous=previous)
