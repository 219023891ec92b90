"""Sending, and asking what became of it."""

from __future__ import annotations

from typing import Any

from notifications.api.pages import links_to, page_of
from notifications.api.route import ApiRequest
from notifications.features.access.persons import whom
from notifications.features.access.throttles import count_send
from notifications.features.sending.schemas import (
    BulkAnswer,
    CancelAnswer,
    ExplainAnswer,
    NotificationList,
    NotificationRow,
    SendAnswer,
    StatusAnswer,
)
from notifications.features.sending.service import NotificationService
from notifications.features.sending.simulate import SimulateAnswer

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


def send(request: ApiRequest) -> SendAnswer:
    count_send(kind="send", caller=request.caller, now=request.now)
    return NotificationService().send(body=request.body, caller=request.caller)


def send_bulk(request: ApiRequest) -> BulkAnswer:
    count_send(kind="bulk", caller=request.caller, now=request.now)
    return NotificationService().send_bulk(body=request.body, caller=request.caller)


def simulate(request: ApiRequest) -> SimulateAnswer:
    return NotificationService().simulate(body=request.body, caller=request.caller)


def status(request: ApiRequest) -> StatusAnswer:
    return NotificationService().status(identifier=request.params["id"], caller=request.caller)


def explain(request: ApiRequest) -> ExplainAnswer:
    return NotificationService().explain(identifier=request.params["id"], caller=request.caller)


def notifications(request: ApiRequest) -> NotificationList:
    page = page_of(request)
    query = request.query
    filters: dict[str, Any] = {name: query[name] for name in _FILTERS if query[name]}
    whose = whom(query["user"] or None, query["external_id"] or None, written=True, field="user")
    if whose is not None:
        filters["user"] = whose
    found = NotificationService().list(
        caller=request.caller, filters=filters, after=page.after, limit=page.limit
    )
    following, previous = links_to(request, page, found.rest)
    return NotificationList(
        results=found.rows, next=following, previous=previous, scanned_until=found.until
    )


def notification(request: ApiRequest) -> NotificationRow:
    return NotificationService().get(identifier=request.params["id"], caller=request.caller)


def move(request: ApiRequest) -> NotificationRow:
    return NotificationService().move(
        identifier=request.params["id"], body=request.body, caller=request.caller
    )


def cancel(request: ApiRequest) -> CancelAnswer:
    return NotificationService().cancel(identifier=request.params["id"], caller=request.caller)
