"""Routes of broadcasts, for administrators."""

from __future__ import annotations

from datetime import date

from directory.moments import InvalidMoment, MomentOutOfRange, read_day
from notifications.api.bodies import check_body
from notifications.api.route import ApiRequest, Query, Route
from notifications.domain.broadcast_lifecycle import BroadcastStatus
from notifications.domain.channels import PERSON_CHANNELS
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.features.access.persons import read_person_key
from notifications.features.access.throttles import count_send
from notifications.features.broadcasts.action_schemas import (
    BroadcastCancelResponse,
    BroadcastDetailResponse,
    BroadcastDone,
    BroadcastProgressResponse,
    BroadcastRetryResponse,
    BroadcastTestResponse,
)
from notifications.features.broadcasts.copy import duplicate as copy_broadcast
from notifications.features.broadcasts.dry_run_schemas import DryRunResponse
from notifications.features.broadcasts.queries import PAGE_SIZE, list_page
from notifications.features.broadcasts.schemas import (
    BroadcastBody,
    BroadcastChangeBody,
    BroadcastList,
    BroadcastRejectBody,
)
from notifications.features.broadcasts.service import SCOPE, BroadcastWorkflow, check_scope
from notifications.features.broadcasts.trial import send_test_to_caller
from notifications.models import Broadcast

_HIGHEST_PAGE = 10_000_000
PAGE_NUMBERS = (
    Query(
        name="page",
        about="The number of the page, from 1.",
        kind="integer",
        default=1,
        lowest=1,
        highest=_HIGHEST_PAGE,
    ),
    Query(
        name="page_size",
        about="The most rows of a page.",
        kind="integer",
        default=PAGE_SIZE,
        lowest=1,
        highest=200,
    ),
)
LIST_QUERY = (
    Query(name="status", about="Only this status.", choices=tuple(BroadcastStatus)),
    Query(name="date_from", about="Only those made on this day (UTC) or later: YYYY-MM-DD."),
    Query(name="date_to", about="Only those made on this day (UTC) or earlier: YYYY-MM-DD."),
    Query(name="search", about="Only those whose message contains this text, in any case."),
    Query(
        name="target_group",
        about="Only this target_group.",
        choices=tuple(Broadcast.TargetGroup.values),
    ),
    Query(
        name="channel",
        about="Only those on this channel.",
        choices=tuple(str(channel) for channel in PERSON_CHANNELS),
    ),
    Query(
        name="created_by",
        about="Only this author: an integer id, a UUID, or `ext:` and your id.",
    ),
    *PAGE_NUMBERS,
)


def broadcasts(request: ApiRequest) -> BroadcastList:
    query = request.query
    check_scope(request.caller)
    days = _days(query["date_from"], query["date_to"])
    return list_page(
        status=query["status"],
        date_from=days[0],
        date_to=days[1],
        search=query["search"],
        target_group=query["target_group"],
        channel=query["channel"],
        created_by=read_person_key(query["created_by"] or None, written=True, field="created_by"),
        page=query["page"],
        page_size=query["page_size"],
    )


def create(request: ApiRequest) -> BroadcastDone:
    return BroadcastWorkflow().create(body=request.body, caller=request.caller, now=request.now)


def broadcast(request: ApiRequest) -> BroadcastDetailResponse:
    return BroadcastWorkflow().detail(request.params["id"], caller=request.caller)


def change(request: ApiRequest) -> BroadcastDone:
    return BroadcastWorkflow().change(
        request.params["id"], body=request.body, caller=request.caller, now=request.now
    )


def delete(request: ApiRequest) -> tuple[int, None]:
    BroadcastWorkflow().delete(request.params["id"], caller=request.caller, now=request.now)
    return 204, None


def progress(request: ApiRequest) -> BroadcastProgressResponse:
    return BroadcastWorkflow().progress(
        request.params["id"], caller=request.caller, now=request.now
    )


def dry_run(request: ApiRequest) -> DryRunResponse:
    return BroadcastWorkflow().dry_run(request.params["id"], caller=request.caller, now=request.now)


def dry_run_of_body(request: ApiRequest) -> DryRunResponse:
    return BroadcastWorkflow().dry_run_of_body(
        body=request.body, caller=request.caller, now=request.now
    )


def send(request: ApiRequest) -> BroadcastDone:
    return BroadcastWorkflow().send(request.params["id"], caller=request.caller, now=request.now)


def cancel(request: ApiRequest) -> BroadcastCancelResponse:
    return BroadcastWorkflow().cancel(request.params["id"], caller=request.caller, now=request.now)


def retry(request: ApiRequest) -> BroadcastRetryResponse:
    return BroadcastWorkflow().retry(request.params["id"], caller=request.caller, now=request.now)


def duplicate(request: ApiRequest) -> BroadcastDone:
    return copy_broadcast(request.params["id"], caller=request.caller, now=request.now)


def send_test(request: ApiRequest) -> BroadcastTestResponse:
    count_send(kind="send", caller=request.caller, now=request.now)
    return send_test_to_caller(request.params["id"], caller=request.caller, now=request.now)


def pause(request: ApiRequest) -> BroadcastDone:
    return BroadcastWorkflow().pause(request.params["id"], caller=request.caller, now=request.now)


def resume(request: ApiRequest) -> BroadcastDone:
    return BroadcastWorkflow().resume(request.params["id"], caller=request.caller, now=request.now)


def approve(request: ApiRequest) -> BroadcastDone:
    return BroadcastWorkflow().approve(request.params["id"], caller=request.caller, now=request.now)


def reject(request: ApiRequest) -> BroadcastDone:
    body = check_body(request.body, BroadcastRejectBody)
    return BroadcastWorkflow().reject(
        request.params["id"], note=body.note, caller=request.caller, now=request.now
    )


def _days(*texts: str) -> list[date | None]:
    """Returns the days of date_from and date_to.

    Raises:
        InvalidRequest: with an error for each text that is no day.
    """
    found: list[date | None] = []
    faults = []
    for name, text in zip(("date_from", "date_to"), texts, strict=True):
        try:
            found.append(read_day(text) if text else None)
        except MomentOutOfRange as error:
            faults.append(FieldError(name, error.code, str(error)))
        except InvalidMoment as error:
            faults.append(FieldError(name, "invalid", str(error)))
    if faults:
        raise InvalidRequest(faults)
    return found


_ALL = "/api/admin/broadcasts"
ONE = f"{_ALL}/{{id}}"
ROUTES: tuple[Route, ...] = (
    Route(
        name="list_broadcasts",
        method="GET",
        path=_ALL,
        handler=broadcasts,
        summary="List broadcasts, the newest first.",
        scope=SCOPE,
        query=LIST_QUERY,
        responses={200: BroadcastList},
        errors=(404,),
    ),
    Route(
        name="create_broadcast",
        method="POST",
        path=_ALL,
        handler=create,
        summary="Make a broadcast: a draft, scheduled, or sent at once.",
        scope=SCOPE,
        body=BroadcastBody,
        responses={201: BroadcastDone},
        errors=(403,),
        idempotent=True,
    ),
    Route(
        name="simulate_broadcast_body",
        method="POST",
        path=f"{_ALL}/dry-run",
        handler=dry_run_of_body,
        summary="Simulate a broadcast without saving it: its recipients, times and cost.",
        scope=SCOPE,
        body=BroadcastBody,
        responses={200: DryRunResponse},
    ),
    Route(
        name="get_broadcast",
        method="GET",
        path=ONE,
        handler=broadcast,
        summary="Get one broadcast with its first recipients.",
        scope=SCOPE,
        responses={200: BroadcastDetailResponse},
        errors=(404,),
    ),
    Route(
        name="change_broadcast",
        method="PATCH",
        path=ONE,
        handler=change,
        summary="Change a broadcast while it is a draft or scheduled.",
        scope=SCOPE,
        body=BroadcastChangeBody,
        responses={200: BroadcastDone},
        errors=(400, 404),
    ),
    Route(
        name="delete_broadcast",
        method="DELETE",
        path=ONE,
        handler=delete,
        summary="Remove a broadcast while it is a draft or scheduled.",
        scope=SCOPE,
        responses={204: None},
        errors=(400, 404),
    ),
    Route(
        name="simulate_broadcast",
        method="POST",
        path=f"{ONE}/dry-run",
        handler=dry_run,
        summary="Simulate a broadcast that was not launched yet; nothing is written.",
        scope=SCOPE,
        responses={200: DryRunResponse},
        errors=(400, 404),
    ),
    Route(
        name="send_broadcast",
        method="POST",
        path=f"{ONE}/send",
        handler=send,
        summary="Launch a draft or scheduled broadcast now.",
        scope=SCOPE,
        responses={200: BroadcastDone},
        errors=(400, 404),
        idempotent=True,
    ),
    Route(
        name="broadcast_progress",
        method="GET",
        path=f"{ONE}/progress",
        handler=progress,
        summary="Get the progress of a broadcast.",
        scope=SCOPE,
        responses={200: BroadcastProgressResponse},
        errors=(404,),
    ),
    Route(
        name="test_broadcast",
        method="POST",
        path=f"{ONE}/test",
        handler=send_test,
        summary="Send a broadcast's text to the caller alone; it counts in no broadcast.",
        scope=SCOPE,
        responses={200: BroadcastTestResponse},
        errors=(400, 403, 404, 429),
        idempotent=True,
    ),
    Route(
        name="duplicate_broadcast",
        method="POST",
        path=f"{ONE}/duplicate",
        handler=duplicate,
        summary="Make a draft with the same content and audience.",
        scope=SCOPE,
        responses={201: BroadcastDone},
        errors=(400, 403, 404),
        idempotent=True,
    ),
    Route(
        name="cancel_broadcast",
        method="POST",
        path=f"{ONE}/cancel",
        handler=cancel,
        summary="Cancel a broadcast: messages that no provider has are cancelled.",
        scope=SCOPE,
        responses={200: BroadcastCancelResponse},
        errors=(400, 404),
        idempotent=True,
    ),
    Route(
        name="retry_broadcast",
        method="POST",
        path=f"{ONE}/retry",
        handler=retry,
        summary="Retry every failed recipient.",
        scope=SCOPE,
        responses={200: BroadcastRetryResponse},
        errors=(400, 404),
        idempotent=True,
    ),
    Route(
        name="pause_broadcast",
        method="POST",
        path=f"{ONE}/pause",
        handler=pause,
        summary="Pause a broadcast that is being sent.",
        scope=SCOPE,
        responses={200: BroadcastDone},
        errors=(400, 404),
        idempotent=True,
    ),
    Route(
        name="resume_broadcast",
        method="POST",
        path=f"{ONE}/resume",
        handler=resume,
        summary="Resume a paused broadcast.",
        scope=SCOPE,
        responses={200: BroadcastDone},
        errors=(400, 404),
        idempotent=True,
    ),
    Route(
        name="approve_broadcast",
        method="POST",
        path=f"{ONE}/approve",
        handler=approve,
        summary="Approve a broadcast that awaits approval; its author may not.",
        scope=SCOPE,
        responses={200: BroadcastDone},
        errors=(400, 403, 404),
        idempotent=True,
    ),
    Route(
        name="reject_broadcast",
        method="POST",
        path=f"{ONE}/reject",
        handler=reject,
        summary="Return a broadcast that awaits approval to its author.",
        scope=SCOPE,
        body=BroadcastRejectBody,
        responses={200: BroadcastDone},
        errors=(400, 403, 404),
        idempotent=True,
    ),
)
