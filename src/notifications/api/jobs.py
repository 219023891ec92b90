"""Routes of bulk jobs."""

from __future__ import annotations

from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Route
from notifications.features.sending.schemas import (
    JobCancelResponse,
    JobResponse,
    MemberList,
)
from notifications.features.sending.service import NotificationService


def job(request: ApiRequest) -> JobResponse:
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


def cancel(request: ApiRequest) -> JobCancelResponse:
    return NotificationService().cancel_job(
        identifier=request.params["job_id"], caller=request.caller
    )


ROUTES: tuple[Route, ...] = (
    Route(
        name="job_progress",
        method="GET",
        path="/api/v1/jobs/{job_id}",
        handler=job,
        summary="Get the progress of a bulk call, by state.",
        service_scope="notifications:read",
        responses={200: JobResponse},
        errors=(404,),
    ),
    Route(
        name="job_members",
        method="GET",
        path="/api/v1/jobs/{job_id}/members",
        handler=members,
        summary="List the accepted recipients of a bulk call, with state and last error.",
        service_scope="notifications:read",
        query=PAGE_QUERY,
        responses={200: MemberList},
        errors=(404,),
    ),
    Route(
        name="cancel_job",
        method="POST",
        path="/api/v1/jobs/{job_id}/cancel",
        handler=cancel,
        summary="Cancel the waiting messages of a bulk call.",
        service_scope="notifications:send",
        responses={200: JobCancelResponse},
        errors=(404, 409),
        idempotent=True,
    ),
)
