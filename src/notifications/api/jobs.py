"""How far a bulk call has come."""

from __future__ import annotations

from notifications.api.pages import links, page_of
from notifications.api.route import ApiRequest
from notifications.features.sending.schemas import JobAnswer, JobCancelAnswer, MemberList
from notifications.features.sending.service import NotificationService


def job(request: ApiRequest) -> JobAnswer:
    return NotificationService().job(identifier=request.params["job_id"], caller=request.caller)


def members(request: ApiRequest) -> MemberList:
    page = page_of(request)
    found = NotificationService().job_members(
        identifier=request.params["job_id"],
        caller=request.caller,
        after=page.after,
        limit=page.fetch,
    )
    following, previous = links(request, page, [key for key, _ in found])
    shown = [member for _, member in found[: page.limit]]
    return MemberList(results=shown, next=following, previous=previous)


def cancel(request: ApiRequest) -> JobCancelAnswer:
    return NotificationService().cancel_job(
        identifier=request.params["job_id"], caller=request.caller
    )
