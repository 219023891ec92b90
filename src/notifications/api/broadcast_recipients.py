"""Routes of a broadcast's recipients: list, export and retry."""

from __future__ import annotations

from notifications.api.bodies import check_body
from notifications.api.broadcasts import ONE, PAGE_NUMBERS
from notifications.api.response import CSV_TYPE
from notifications.api.route import ApiRequest, Download, Query, Route
from notifications.domain.broadcast_lifecycle import RecipientState
from notifications.features.broadcasts.action_schemas import BroadcastRetryChosenResponse
from notifications.features.broadcasts.export import recipients_csv
from notifications.features.broadcasts.queries import recipient_page
from notifications.features.broadcasts.schemas import BroadcastRecipientList, BroadcastRetryBody
from notifications.features.broadcasts.service import SCOPE, BroadcastWorkflow

STATES_QUERY = (Query(name="status", about="Only this state.", choices=tuple(RecipientState)),)
RECIPIENTS_QUERY = (*STATES_QUERY, *PAGE_NUMBERS)


def recipients(request: ApiRequest) -> BroadcastRecipientList:
    found = BroadcastWorkflow().find(request.params["id"], caller=request.caller)
    query = request.query
    return recipient_page(
        found, status=query["status"], page=query["page"], page_size=query["page_size"]
    )


def recipients_file(request: ApiRequest) -> Download:
    found = BroadcastWorkflow().find(request.params["id"], caller=request.caller)
    parts = recipients_csv(found, status=request.query["status"])
    return Download(name=f"broadcast-{found.pk}-recipients.csv", parts=parts)


def retry_chosen(request: ApiRequest) -> BroadcastRetryChosenResponse:
    body = check_body(request.body, BroadcastRetryBody)
    return BroadcastWorkflow().retry_chosen(
        request.params["id"], people=body.user_ids, caller=request.caller, now=request.now
    )


ROUTES: tuple[Route, ...] = (
    Route(
        name="broadcast_recipients",
        method="GET",
        path=f"{ONE}/recipients",
        handler=recipients,
        summary="List the recipients with the state of each.",
        scope=SCOPE,
        query=RECIPIENTS_QUERY,
        responses={200: BroadcastRecipientList},
        errors=(404,),
    ),
    Route(
        name="export_broadcast_recipients",
        method="GET",
        path=f"{ONE}/recipients.csv",
        handler=recipients_file,
        summary="Export all recipients, or those of one state, as a CSV file.",
        scope=SCOPE,
        query=STATES_QUERY,
        responses={200: None},
        errors=(404,),
        media=CSV_TYPE,
    ),
    Route(
        name="retry_recipients",
        method="POST",
        path=f"{ONE}/recipients/retry",
        handler=retry_chosen,
        summary="Retry chosen failed recipients, at most 1,000 in one call.",
        scope=SCOPE,
        body=BroadcastRetryBody,
        responses={200: BroadcastRetryChosenResponse},
        errors=(400, 404),
        idempotent=True,
    ),
)
