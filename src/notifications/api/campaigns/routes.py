"""Routes of campaigns."""

from __future__ import annotations

from notifications.api.bodies import check_body
from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Query, Route
from notifications.domain.broadcast_lifecycle import RecipientState
from notifications.domain.campaigns.lifecycle import CampaignStatus
from notifications.features.access.throttles import count_send
from notifications.features.campaigns.progress import campaign_progress
from notifications.features.campaigns.recipients import recipients_of
from notifications.features.campaigns.report import campaign_report
from notifications.features.campaigns.report_schemas import (
    HELD_OUT,
    CampaignEstimateResponse,
    CampaignProgressResponse,
    CampaignRecipientList,
    CampaignReportResponse,
    CampaignTestResponse,
)
from notifications.features.campaigns.schemas import (
    CampaignBody,
    CampaignChangeBody,
    CampaignList,
    CampaignRejectBody,
    CampaignResponse,
    CampaignScheduleBody,
)
from notifications.features.campaigns.service import SCOPE, CampaignService
from notifications.features.campaigns.trial import estimate as estimate_campaign
from notifications.features.campaigns.trial import send_test_to_caller
from notifications.models import Campaign

_ALL = "/api/v1/campaigns"
ONE = f"{_ALL}/{{id}}"
_STATUS = Query(name="status", about="Only this status.", choices=tuple(CampaignStatus))
_STATE = Query(
    name="status",
    about="Only this state; `held_out`: those who get nothing, to measure an effect.",
    choices=(*RecipientState, HELD_OUT),
)


def campaigns(request: ApiRequest) -> CampaignList:
    page = page_of(request)
    found = CampaignService().list(
        caller=request.caller, status=request.query["status"], after=page.after, limit=page.fetch
    )
    following, previous = links(request, page, [each.key for each in found])
    return CampaignList(results=list(found[: page.limit]), next=following, previous=previous)


def create(request: ApiRequest) -> CampaignResponse:
    body = check_body(request.body, CampaignBody)
    return CampaignService().create(body=body, caller=request.caller, now=request.now)


def campaign(request: ApiRequest) -> CampaignResponse:
    return CampaignService().get(identifier=request.params["id"], caller=request.caller)


def change(request: ApiRequest) -> CampaignResponse:
    return CampaignService().change(
        identifier=request.params["id"],
        body=check_body(request.body, CampaignChangeBody),
        caller=request.caller,
        now=request.now,
    )


def delete(request: ApiRequest) -> tuple[int, None]:
    CampaignService().delete(
        identifier=request.params["id"], caller=request.caller, now=request.now
    )
    return 204, None


def estimate(request: ApiRequest) -> CampaignEstimateResponse:
    return estimate_campaign(_found(request), now=request.now)


def send_test(request: ApiRequest) -> CampaignTestResponse:
    count_send(kind="send", caller=request.caller, now=request.now)
    return send_test_to_caller(_found(request), caller=request.caller, now=request.now)


def schedule(request: ApiRequest) -> CampaignResponse:
    return CampaignService().schedule(
        identifier=request.params["id"],
        body=check_body(request.body, CampaignScheduleBody),
        caller=request.caller,
        now=request.now,
    )


def launch(request: ApiRequest) -> CampaignResponse:
    return CampaignService().launch(
        identifier=request.params["id"], caller=request.caller, now=request.now
    )


def pause(request: ApiRequest) -> CampaignResponse:
    return CampaignService().pause(
        identifier=request.params["id"], caller=request.caller, now=request.now
    )


def resume(request: ApiRequest) -> CampaignResponse:
    return CampaignService().resume(
        identifier=request.params["id"], caller=request.caller, now=request.now
    )


def cancel(request: ApiRequest) -> CampaignResponse:
    return CampaignService().cancel(
        identifier=request.params["id"], caller=request.caller, now=request.now
    )


def approve(request: ApiRequest) -> CampaignResponse:
    return CampaignService().approve(
        identifier=request.params["id"], caller=request.caller, now=request.now
    )


def reject(request: ApiRequest) -> CampaignResponse:
    body = check_body(request.body, CampaignRejectBody)
    return CampaignService().reject(
        identifier=request.params["id"], note=body.note, caller=request.caller, now=request.now
    )


def duplicate(request: ApiRequest) -> CampaignResponse:
    return CampaignService().duplicate(
        identifier=request.params["id"], caller=request.caller, now=request.now
    )


def progress(request: ApiRequest) -> CampaignProgressResponse:
    return campaign_progress(_found(request), now=request.now)


def report(request: ApiRequest) -> CampaignReportResponse:
    return campaign_report(_found(request), now=request.now)


def recipients(request: ApiRequest) -> CampaignRecipientList:
    page = page_of(request)
    found = recipients_of(
        _found(request), status=request.query["status"], after=page.after, limit=page.fetch
    )
    following, previous = links(request, page, [each.user_id for each in found])
    return CampaignRecipientList(
        results=list(found[: page.limit]), next=following, previous=previous
    )


def _found(request: ApiRequest) -> Campaign:
    return CampaignService().find(request.params["id"], caller=request.caller)


ROUTES: tuple[Route, ...] = (
    Route(
        name="list_campaigns",
        method="GET",
        path=_ALL,
        handler=campaigns,
        summary="List campaigns, the oldest first.",
        scope=SCOPE,
        query=(_STATUS, *PAGE_QUERY),
        responses={200: CampaignList},
    ),
    Route(
        name="create_campaign",
        method="POST",
        path=_ALL,
        handler=create,
        summary="Write a campaign. It is a draft.",
        scope=SCOPE,
        body=CampaignBody,
        responses={201: CampaignResponse},
        idempotent=True,
    ),
    Route(
        name="get_campaign",
        method="GET",
        path=ONE,
        handler=campaign,
        summary="Get a campaign.",
        scope=SCOPE,
        responses={200: CampaignResponse},
        errors=(404,),
    ),
    Route(
        name="change_campaign",
        method="PATCH",
        path=ONE,
        handler=change,
        summary="Change some fields of a draft or scheduled campaign.",
        scope=SCOPE,
        body=CampaignChangeBody,
        responses={200: CampaignResponse},
        errors=(404, 409),
    ),
    Route(
        name="delete_campaign",
        method="DELETE",
        path=ONE,
        handler=delete,
        summary="Delete a draft or scheduled campaign.",
        scope=SCOPE,
        responses={204: None},
        errors=(404, 409),
    ),
    Route(
        name="count_campaign",
        method="POST",
        path=f"{ONE}/estimate",
        handler=estimate,
        summary="See whom a campaign would reach, and what it would cost. Nothing is sent.",
        scope=SCOPE,
        responses={200: CampaignEstimateResponse},
        errors=(404, 409),
    ),
    Route(
        name="test_campaign",
        method="POST",
        path=f"{ONE}/test",
        handler=send_test,
        summary="Send a test of a campaign to yourself.",
        scope=SCOPE,
        responses={200: CampaignTestResponse},
        errors=(404, 409, 429),
        idempotent=True,
    ),
    Route(
        name="schedule_campaign",
        method="POST",
        path=f"{ONE}/schedule",
        handler=schedule,
        summary="Schedule a draft, or request the approval that it needs.",
        scope=SCOPE,
        body=CampaignScheduleBody,
        responses={200: CampaignResponse},
        errors=(404, 409),
        idempotent=True,
    ),
    Route(
        name="launch_campaign",
        method="POST",
        path=f"{ONE}/launch",
        handler=launch,
        summary="Begin a campaign now, or request the approval that it needs.",
        scope=SCOPE,
        responses={200: CampaignResponse},
        errors=(404, 409),
        idempotent=True,
    ),
    Route(
        name="pause_campaign",
        method="POST",
        path=f"{ONE}/pause",
        handler=pause,
        summary="Pause a running campaign; messages in flight arrive.",
        scope=SCOPE,
        responses={200: CampaignResponse},
        errors=(404, 409),
        idempotent=True,
    ),
    Route(
        name="resume_campaign",
        method="POST",
        path=f"{ONE}/resume",
        handler=resume,
        summary="Resume a paused campaign.",
        scope=SCOPE,
        responses={200: CampaignResponse},
        errors=(404, 409),
        idempotent=True,
    ),
    Route(
        name="cancel_campaign",
        method="POST",
        path=f"{ONE}/cancel",
        handler=cancel,
        summary="Cancel a campaign; messages that are not in flight are not sent.",
        scope=SCOPE,
        responses={200: CampaignResponse},
        errors=(404, 409),
        idempotent=True,
    ),
    Route(
        name="approve_campaign",
        method="POST",
        path=f"{ONE}/approve",
        handler=approve,
        summary="Release a campaign that someone else wrote.",
        scope=SCOPE,
        responses={200: CampaignResponse},
        errors=(404, 409),
        idempotent=True,
    ),
    Route(
        name="reject_campaign",
        method="POST",
        path=f"{ONE}/reject",
        handler=reject,
        summary="Return a campaign to its author, with the reason.",
        scope=SCOPE,
        body=CampaignRejectBody,
        responses={200: CampaignResponse},
        errors=(404, 409),
        idempotent=True,
    ),
    Route(
        name="duplicate_campaign",
        method="POST",
        path=f"{ONE}/duplicate",
        handler=duplicate,
        summary="Write a draft with the content and audience of a campaign.",
        scope=SCOPE,
        responses={201: CampaignResponse},
        errors=(404,),
        idempotent=True,
    ),
    Route(
        name="campaign_progress",
        method="GET",
        path=f"{ONE}/progress",
        handler=progress,
        summary="See how far a campaign has come.",
        scope=SCOPE,
        responses={200: CampaignProgressResponse},
        errors=(404,),
    ),
    Route(
        name="campaign_report",
        method="GET",
        path=f"{ONE}/report",
        handler=report,
        summary="See what became of a campaign, and its effect against its holdout.",
        scope=SCOPE,
        responses={200: CampaignReportResponse},
        errors=(404,),
    ),
    Route(
        name="campaign_recipients",
        method="GET",
        path=f"{ONE}/recipients",
        handler=recipients,
        summary="List the recipients of a campaign.",
        scope=SCOPE,
        query=(_STATE, *PAGE_QUERY),
        responses={200: CampaignRecipientList},
        errors=(404,),
    ),
)
