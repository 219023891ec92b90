"""Routes that send notifications and report their state."""

from __future__ import annotations

from typing import Any

from directory.references import LONGEST_EXTERNAL_ID
from notifications.api.pages import PAGE_QUERY, links_to, page_of
from notifications.api.route import ApiRequest, Query, Route
from notifications.features.access.persons import read_person_key
from notifications.features.access.throttles import count_send
from notifications.features.recalling.service import (
    NotificationChangeBody,
    RecallService,
    RetractResponse,
    amends,
)
from notifications.features.sending.queries import CHANNELS, STATUSES
from notifications.features.sending.schemas import (
    BulkResponse,
    CancelResponse,
    ExplainResponse,
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


def change(request: ApiRequest) -> NotificationRow:
    if amends(request.body):
        RecallService().amend(
            identifier=request.params["id"], body=request.body, caller=request.caller
        )
        return notification(request)
    return NotificationService().move(
        identifier=request.params["id"], body=request.body, caller=request.caller
    )


def retract(request: ApiRequest) -> RetractResponse:
    return RecallService().retract(identifier=request.params["id"], caller=request.caller)


def cancel(request: ApiRequest) -> CancelResponse:
    return NotificationService().cancel(identifier=request.params["id"], caller=request.caller)


LIST_QUERY = (
    Query(name="user", about="Only this user: an integer id, a UUID, or `ext:` and your id."),
    Query(
        name="external_id",
        about="Only this user, by your external_id.",
        longest=LONGEST_EXTERNAL_ID,
    ),
    Query(
        name="status",
        about="Only this state. A message that is in flight counts as pending.",
        choices=STATUSES,
    ),
    Query(name="channel", about="Only those on this channel.", choices=CHANNELS),
    Query(name="category", about="Only this category."),
    Query(name="template", about="Only this template path."),
    Query(name="source", about="Only this source: `key:7`, `broadcast:3`.", longest=60),
    Query(name="correlation_id", about="Only the request with this X-Request-ID.", longest=64),
    Query(
        name="scheduled_status",
        about="Only scheduled notifications in this state.",
        choices=tuple(ScheduledStatus.values),
    ),
    Query(name="from", about="Only those accepted at this time or later (RFC 3339)."),
    Query(name="to", about="Only those accepted before this time (RFC 3339)."),
)
ROUTES: tuple[Route, ...] = (
    Route(
        name="send_notification",
        method="POST",
        path="/api/v1/notifications/send",
        handler=send,
        summary="Send a notification to one user, on one or several channels.",
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
        summary="Send a notification to up to 10,000 users, each with their own context.",
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
        summary="Simulate a send: every decision and text. Nothing is sent.",
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
        summary="List notifications, the newest first: those of all users, or one's own.",
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
        summary="Get one notification, as the list shows it.",
        service_scope="notifications:read",
        responses={200: NotificationRow},
        errors=(404,),
    ),
    Route(
        name="move_notification",
        method="PATCH",
        path="/api/v1/notifications/{id}",
        handler=change,
        summary="Move a scheduled notification to another time, or amend one in an inbox.",
        service_scope="notifications:send",
        body=NotificationChangeBody,
        responses={200: NotificationRow},
        errors=(404, 409),
    ),
    Route(
        name="retract_notification",
        method="DELETE",
        path="/api/v1/notifications/{id}",
        handler=retract,
        summary="Take a notification out of its inbox, and cancel what was not sent yet.",
        scope="notifications:send",
        responses={200: RetractResponse},
        errors=(404,),
    ),
    Route(
        name="notification_status",
        method="GET",
        path="/api/v1/notifications/{id}/status",
        handler=status,
        summary="Get the state of a notification, channel by channel.",
        service_scope="notifications:read",
        responses={200: StatusResponse},
        errors=(404,),
    ),
    Route(
        name="explain_notification",
        method="GET",
        path="/api/v1/notifications/{id}/explain",
        handler=explain,
        summary="Explain why it was or was not sent: every decision and result, in order.",
        service_scope="notifications:read",
        responses={200: ExplainResponse},
        errors=(404,),
    ),
    Route(
        name="cancel_notification",
        method="POST",
        path="/api/v1/notifications/{id}/cancel",
        handler=cancel,
        summary="Cancel the messages that were not sent yet.",
        service_scope="notifications:send",
        responses={200: CancelResponse},
        errors=(404, 409),
        idempotent=True,
    ),
)
