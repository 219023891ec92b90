"""Sending, and asking what became of it."""

from __future__ import annotations

from notifications.api.route import ApiRequest
from notifications.services.answers import (
    BulkAnswer,
    CancelAnswer,
    ExplainAnswer,
    SendAnswer,
    StatusAnswer,
)
from notifications.services.notification import NotificationService
from notifications.services.simulation import SimulateAnswer


def send(request: ApiRequest) -> SendAnswer:
    return NotificationService().send(body=request.body, caller=request.caller)


def send_bulk(request: ApiRequest) -> BulkAnswer:
    return NotificationService().send_bulk(body=request.body, caller=request.caller)


def simulate(request: ApiRequest) -> SimulateAnswer:
    return NotificationService().simulate(body=request.body, caller=request.caller)


def status(request: ApiRequest) -> StatusAnswer:
    return NotificationService().status(identifier=request.params["id"], caller=request.caller)


def explain(request: ApiRequest) -> ExplainAnswer:
    return NotificationService().explain(identifier=request.params["id"], caller=request.caller)


def cancel(request: ApiRequest) -> CancelAnswer:
    return NotificationService().cancel(identifier=request.params["id"], caller=request.caller)
