"""How far a bulk call has come."""

from __future__ import annotations

from notifications.api.route import ApiRequest
from notifications.services.answers import JobAnswer
from notifications.services.notification import NotificationService


def job(request: ApiRequest) -> JobAnswer:
    return NotificationService().job(identifier=request.params["job_id"], caller=request.caller)
