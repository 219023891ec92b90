"""Sending, and asking what became of it."""

from __future__ import annotations

from typing import Any

from directory.references import LONGEST_EXTERNAL_ID
from notifications.api.pages import PAGE_QUERY, links_to, page_of
from notifications.api.route import ApiRequest, Query, Route
from notifications.features.access.persons import read_person_key
from notifications.features.access.throttles import count_send
from notifications.features.sending.queries import CHANNELS, STATUSES
from notifications.features.sending.schemas import (
    BulkResponse,
    CancelResponse,
    ExplainResponse,
    MoveBody,
    NotificationList,
    NotificationRow,
    SendResponse,
    StatusResponse,
)
from notifications.features.sending.service import BulkBody, NotificationService, SendBody
from notifications.features.sending.simulate import SimulateResponse
from notifications.models import ScheduledStatus

_FILTERS = (
    "status",
    "channel",
    "category",
    "template",
    "source",
    "correlation_id",
    "scheduled_status",
    "from",
    "to",
)


def send(request: ApiRequest) -> SendResponse:
    count_send(kind="send", caller=request.caller, now=request.now)
    return NotificationService().send(body=request.body, caller=request.caller)


def send_bulk(request: ApiRequest) -> BulkResponse:
    count_send(kind="bulk", caller=request.caller, now=request.now)
    return NotificationService().send_bulk(body=request.body, caller=request.caller)


def simulate(request: ApiRequest) -> SimulateResponse:
    return NotificationService().simulate(body=request.body, caller=request.caller)


def status(request: ApiRequest) -> StatusResponse:
    return NotificationService().status(identifier=request.params["id"], caller=request.caller)


def explain(request: ApiRequest) -> ExplainResponse:
    return NotificationService().explain(identifier=request.params["id"], caller=request.caller)


def notifications(request: ApiRequest) -> NotificationList:
    page = page_of(request)
    query = request.query
    filters: dict[str, Any] = {name: query[name] for name in _FILTERS if query[name]}
    whose = read_person_key(
        query["user"] or None, query["external_id"] or None, written=True, field="user"
    )
    if whose is not None:
        filters["user"] = whose
    found = NotificationService().list(
        caller=request.caller, filters=filters, after=page.after, limit=page.limit
    )
    following, previous = links_to(request, page, found.next_below)
    return NotificationList(
        results=found.rows, next=following, previous=previous, scanned_until=found.scanned_until
    )


def notification(request: ApiRequest) -> NotificationRow:
    return NotificationService().get(identifier=request.params["id"], caller=request.caller)


def move(request: ApiRequest) -> NotificationRow:
    return NotificationService().move(
        identifier=request.params["id"], body=request.body, caller=request.caller
    )


def cancel(request: ApiRequest) -> CancelResponse:
    return NotificationService().cancel(identifier=request.params["id"], caller=request.caller)


LIST_QUERY = (
    Query(name="user", about="Whose: an integer id, a UUID or `ext:` and your external_id."),
    Query(name="external_id", about="Whose, by your external_id.", longest=LONGEST_EXTERNAL_ID),
    Query(
        name="status",
        about="The state of its best message. What a provider has in hand counts as pending.",
        choices=STATUSES,
    ),
    Query(name="channel", about="One of its channels.", choices=CHANNELS),
    Query(name="category", about="Exactly this category."),
    Query(name="template", about="Exactly this template path."),
    Query(name="source", about="What it came from: `key:7`, `broadcast:3`.", longest=60),
    Query(name="correlation_id", about="The X-Request-ID of the call.", longest=64),
    Query(
        name="scheduled_status",
        about="Of those that were scheduled only.",
        choices=tuple(ScheduledStatus.values),
    ),
    Query(name="from", about="Accepted at this time or later (RFC 3339)."),
    Query(name="to", about="Accepted before this time."),
)
ROUTES: tuple[Route, ...] = (
    Route(
        name="send_notification",
        method="POST",
        path="/api/v1/notifications/send",
        handler=send,
        summary="Tell one person something, on one or several channels.",
        service_scope="notifications:send",
        body=SendBody,
        responses={201: SendResponse},
        errors=(403, 404, 429),
        idempotent=True,
    ),
    Route(
        name="send_bulk",
        method="POST",
        path="/api/v1/notifications/bulk",
        handler=send_bulk,
        summary="Tell up to 10,000 people something, each with a context of their own.",
        service_scope="notifications:send",
        body=BulkBody,
        responses={202: BulkResponse},
        errors=(403, 404, 429),
        idempotent=True,
    ),
    Route(
        name="simulate_notification",
        method="POST",
        path="/api/v1/notifications/simulate",
        handler=simulate,
        summary="What a send would lead to now: each decision and text. Nothing is sent.",
        service_scope="notifications:send",
        body=SendBody,
        responses={200: SimulateResponse},
        errors=(403, 404),
    ),
    Route(
        name="list_notifications",
        method="GET",
        path="/api/v1/notifications",
        handler=notifications,
        summary="What was accepted, the newest first: everybody's, or a person's own.",
        service_scope="notifications:read",
        query=(*LIST_QUERY, *PAGE_QUERY),
        responses={200: NotificationList},
        errors=(403, 404),
    ),
    Route(
        name="get_notification",
        method="GET",
        path="/api/v1/notifications/{id}",
        handler=notification,
        summary="One notification, as the list shows it.",
        service_scope="notifications:read",
        responses={200: NotificationRow},
        errors=(404,),
    ),
    Route(
        name="move_notification",
        method="PATCH",
        path="/api/v1/notifications/{id}",
        handler=move,
        summary="Send a scheduled notification at another time.",
        service_scope="notifications:send",
        body=MoveBody,
        responses={200: NotificationRow},
        errors=(404, 409),
    ),
    Route(
        name="notification_status",
        method="GET",
        path="/api/v1/notifications/{id}/status",
        handler=status,
        summary="What became of a notification so far, channel by channel.",
        service_scope="notifications:read",
        responses={200: StatusResponse},
        errors=(404,),
    ),
    Route(
        name="explain_notification",
        method="GET",
        path="/api/v1/notifications/{id}/explain",
        handler=explain,
        summary="Why it was or was not sent: every decision and outcome, in order.",
        service_scope="notifications:read",
        responses={200: ExplainResponse},
        errors=(404,),
    ),
    Route(
        name="cancel_notification",
        method="POST",
        path="/api/v1/notifications/{id}/cancel",
        handler=cancel,
        summary="Take back what has not left yet.",
        service_scope="notifications:send",
        responses={200: CancelResponse},
        errors=(404, 409),
        idempotent=True,
    ),
)
