"""What people answered to SMS."""

from __future__ import annotations

import msgspec

from notifications.api.pages import links, page_of
from notifications.api.route import ApiRequest
from notifications.features.receipts.inbound_sms import InboundSmsAnswer, InboundSmsService


class InboundSmsList(msgspec.Struct, kw_only=True):
    """A page of texts, the oldest first."""

    results: list[InboundSmsAnswer]
    next: str | None = None
    previous: str | None = None


def inbound(request: ApiRequest) -> InboundSmsList:
    page = page_of(request)
    found = InboundSmsService().list(
        caller=request.caller,
        keyword=request.query["keyword"],
        after=page.after,
        limit=page.fetch,
    )
    following, previous = links(request, page, [each.id for each in found])
    return InboundSmsList(results=found[: page.limit], next=following, previous=previous)
