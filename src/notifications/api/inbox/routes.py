"""Routes of the caller's own inbox."""

from __future__ import annotations

from functools import partial

from notifications.api.bodies import check_body
from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Query, Route
from notifications.features.access.service import person_of
from notifications.features.inbox.reading import STATUSES
from notifications.features.inbox.schemas import (
    BulkActionBody,
    ChangedResponse,
    InboxPage,
    ReadAllBody,
    SeenBody,
    SnoozeBody,
    TicketResponse,
    UnreadResponse,
)
from notifications.features.inbox.service import InboxService
from notifications.features.inbox.tickets import issue_ticket

_ABOVE = 1 << 40
"""Added to positions in cursors, which have no negative numbers."""
ACTIONS = {
    "read": "Mark a notification as read.",
    "unread": "Mark a notification as unread.",
    "archive": "Archive a notification.",
    "unarchive": "Take a notification out of the archive.",
    "unsnooze": "End the snooze of a notification now.",
}


def inbox(request: ApiRequest) -> InboxPage:
    page = page_of(request)
    found, places = InboxService().page(
        caller=request.caller,
        status=request.query["status"],
        category=request.query["category"],
        search=request.query["search"],
        before=page.after - _ABOVE if page.after else None,
        limit=page.fetch,
    )
    found.next, found.previous = links(request, page, [place + _ABOVE for place in places])
    found.results = found.results[: page.limit]
    return found


def unread(request: ApiRequest) -> UnreadResponse:
    return InboxService().unread(caller=request.caller)


def act(action: str, request: ApiRequest) -> ChangedResponse:
    return InboxService().act(caller=request.caller, identifier=request.params["id"], action=action)


def snooze(request: ApiRequest) -> ChangedResponse:
    body = check_body(request.body, SnoozeBody)
    return InboxService().snooze(
        caller=request.caller, identifier=request.params["id"], until=body.until
    )


def act_on_many(request: ApiRequest) -> ChangedResponse:
    body = check_body(request.body, BulkActionBody)
    return InboxService().act_on_many(caller=request.caller, ids=body.ids, action=body.action)


def read_all(request: ApiRequest) -> ChangedResponse:
    body = check_body(request.body, ReadAllBody)
    return InboxService().read_all(caller=request.caller, up_to=body.up_to, category=body.category)


def ticket(request: ApiRequest) -> TicketResponse:
    issued = issue_ticket(person_of(request.caller), request.caller.origin)
    return TicketResponse(ticket=issued.text, expires_at=issued.expires_at)


def seen(request: ApiRequest) -> ChangedResponse:
    body = check_body(request.body, SeenBody)
    return InboxService().seen(caller=request.caller, ids=body.ids)


ROUTES: tuple[Route, ...] = (
    Route(
        name="get_inbox",
        method="GET",
        path="/api/v1/inbox",
        handler=inbox,
        summary="Get a page of your inbox, with the unread number and the position of both.",
        query=(
            Query(
                name="status",
                about="Only these; without it all that are neither archived nor snoozed.",
                choices=("", *STATUSES),
            ),
            Query(name="category", about="Only the category with this key.", longest=50),
            Query(
                name="search",
                about="Only those whose text has all these words, among the newest 500.",
                longest=200,
            ),
            *PAGE_QUERY,
        ),
        responses={200: InboxPage},
        for_persons=True,
    ),
    Route(
        name="count_unread",
        method="GET",
        path="/api/v1/inbox/unread",
        handler=unread,
        summary="Count your unread notifications.",
        responses={200: UnreadResponse},
        for_persons=True,
    ),
    *(
        Route(
            name=f"{action}_in_inbox",
            method="POST",
            path=f"/api/v1/inbox/{{id}}/{action}",
            handler=partial(act, action),
            summary=summary,
            responses={200: ChangedResponse},
            for_persons=True,
            errors=(404,),
            idempotent=True,
        )
        for action, summary in ACTIONS.items()
    ),
    Route(
        name="snooze_in_inbox",
        method="POST",
        path="/api/v1/inbox/{id}/snooze",
        handler=snooze,
        summary="Hide a notification until a time.",
        body=SnoozeBody,
        responses={200: ChangedResponse},
        for_persons=True,
        errors=(404,),
        idempotent=True,
    ),
    Route(
        name="read_all_in_inbox",
        method="POST",
        path="/api/v1/inbox/read-all",
        handler=read_all,
        summary="Mark all notifications as read, or those up to a position.",
        body=ReadAllBody,
        responses={200: ChangedResponse},
        for_persons=True,
        idempotent=True,
    ),
    Route(
        name="act_on_inbox",
        method="POST",
        path="/api/v1/inbox/bulk",
        handler=act_on_many,
        summary="Read or archive many notifications at once, or take it back.",
        body=BulkActionBody,
        responses={200: ChangedResponse},
        for_persons=True,
        idempotent=True,
    ),
    Route(
        name="issue_ticket",
        method="POST",
        path="/api/v1/inbox/ticket",
        handler=ticket,
        summary="Get a ticket for the stream of your inbox, for clients that can send no header.",
        responses={200: TicketResponse},
        for_persons=True,
        idempotent=True,
        secrets=("ticket",),
    ),
    Route(
        name="note_seen",
        method="POST",
        path="/api/v1/inbox/seen",
        handler=seen,
        summary="Note that a visible document showed notifications.",
        body=SeenBody,
        responses={200: ChangedResponse},
        for_persons=True,
        idempotent=True,
    ),
)
