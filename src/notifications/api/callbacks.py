"""What vendors report."""

from __future__ import annotations

import msgspec

from notifications.api.pages import links, page_of
from notifications.api.route import ApiRequest
from notifications.conf import environment
from notifications.features.receipts.service import (
    CallbackAnswer,
    CallbackService,
    StoredCallbackAnswer,
)


class CallbackList(msgspec.Struct, kw_only=True):
    """Stored callbacks by key, the oldest first."""

    results: list[StoredCallbackAnswer]
    next: str | None = None
    previous: str | None = None


def take(request: ApiRequest) -> CallbackAnswer:
    http = request.http
    return CallbackService().take(
        provider=request.params["provider"],
        method=str(http.method),
        # As the vendor was told, whatever proxies stand between.
        url=environment().public_url + http.get_full_path(),
        query={name: str(value) for name, value in http.GET.items()},
        headers={name.lower(): value for name, value in http.headers.items()},
        body=http.body,
        now=request.now,
    )


def stored(request: ApiRequest) -> CallbackList:
    page = page_of(request)
    found = CallbackService().stored(
        caller=request.caller,
        provider=request.query["provider"],
        state=request.query["state"],
        after=page.after,
        limit=page.fetch,
    )
    following, previous = links(request, page, [each.id for each in found])
    return CallbackList(results=found[: page.limit], next=following, previous=previous)
