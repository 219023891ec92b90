"""Items of periodic work that failed again and again."""

from __future__ import annotations

from typing import Annotated

import msgspec

from notifications.api.answers import Id
from notifications.api.bodies import check_body
from notifications.api.pages import links, page_of
from notifications.api.route import ApiRequest
from notifications.features.operations.set_aside import (
    ResumedAnswer,
    SetAsideAnswer,
    SetAsideService,
)


class SetAsideList(msgspec.Struct, kw_only=True):
    """A page of items, the oldest failure first."""

    results: list[SetAsideAnswer]
    next: str | None = None
    previous: str | None = None


class ResumeBody(msgspec.Struct, kw_only=True):
    """Which items are tried again, by the ids of the list."""

    ids: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=1000)]


def items(request: ApiRequest) -> SetAsideList:
    page = page_of(request)
    found = SetAsideService().list(
        caller=request.caller, work=request.query["work"], after=page.after, limit=page.fetch
    )
    following, previous = links(request, page, [each.id for each in found])
    return SetAsideList(results=found[: page.limit], next=following, previous=previous)


def resume(request: ApiRequest) -> ResumedAnswer:
    body = check_body(request.body, ResumeBody)
    return SetAsideService().resume(ids=body.ids, caller=request.caller)
