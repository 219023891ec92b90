"""Routes of vendors' callbacks and of received SMS."""

from __future__ import annotations

import msgspec

from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Auth, Query, Route
from notifications.features.receipts.inbound_sms import InboundSmsResponse, InboundSmsService
from notifications.features.receipts.service import (
    CallbackResponse,
    CallbackService,
    StoredCallbackResponse,
)
from notifications.infra.conf import environment
from notifications.infra.field_types import NextPage, PreviousPage


class CallbackList(msgspec.Struct, kw_only=True):
    """A page of callbacks, the oldest first."""

    results: list[StoredCallbackResponse]
    """The callbacks of this page."""

    next: NextPage = None
    previous: PreviousPage = None


def take(request: ApiRequest) -> CallbackResponse:
    http = request.http
    return CallbackService().receive(
        provider=request.params["provider"],
        method=str(http.method),
        # The URL that the vendor has, whatever proxies are in between: signatures contain it.
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


class InboundSmsList(msgspec.Struct, kw_only=True):
    """A page of received SMS, the oldest first."""

    results: list[InboundSmsResponse]
    """The SMS of this page."""

    next: NextPage = None
    previous: PreviousPage = None


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


_STATES = ("waiting", "applied", "nothing", "unmatched", "unreadable")
ROUTES: tuple[Route, ...] = (
    Route(
        name="take_callback",
        method="POST",
        path="/api/v1/callbacks/{provider}",
        handler=take,
        summary="Receive a vendor's callback; the vendor's signature is checked.",
        auth=Auth.PUBLIC,
        of_vendor=True,
        responses={200: CallbackResponse},
        errors=(403, 404),
    ),
    Route(
        name="list_callbacks",
        method="GET",
        path="/api/v1/callbacks",
        handler=stored,
        summary="List received callbacks and their results.",
        scope="operations",
        query=(
            Query(name="provider", about="Only this provider."),
            Query(name="state", about="Only this state.", choices=_STATES),
            *PAGE_QUERY,
        ),
        responses={200: CallbackList},
    ),
    Route(
        name="list_inbound_sms",
        method="GET",
        path="/api/v1/inbound-sms",
        handler=inbound,
        summary="List received SMS: STOP, START, HELP and everything else.",
        scope="operations",
        query=(
            Query(
                name="keyword",
                about="Only this keyword.",
                choices=("stop", "start", "help", "other"),
            ),
            *PAGE_QUERY,
        ),
        responses={200: InboundSmsList},
    ),
)
