"""Broadcasts, for admins."""

from __future__ import annotations

from datetime import date

from directory.moments import InvalidMoment, MomentOutOfRange, read_day
from notifications.api.bodies import check_body
from notifications.api.route import ApiRequest, Download, Query
from notifications.domain.broadcast_lifecycle import BroadcastStatus, RecipientState
from notifications.domain.channels import PERSON_CHANNELS
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.features.access.persons import whom
from notifications.features.access.throttles import count_send
from notifications.features.broadcasts.copy import duplicate as copy_broadcast
from notifications.features.broadcasts.export import recipients_csv
from notifications.features.broadcasts.queries import PAGE_SIZE, list_page, recipient_page
from notifications.features.broadcasts.schemas import (
    BroadcastCancelAnswer,
    BroadcastDetailAnswer,
    BroadcastDone,
    BroadcastList,
    BroadcastProgressAnswer,
    BroadcastRecipientList,
    BroadcastRejectBody,
    BroadcastRetryAnswer,
    BroadcastRetryBody,
    BroadcastRetryChosenAnswer,
    BroadcastTestAnswer,
    DryRunAnswer,
)
from notifications.features.broadcasts.service import BroadcastDesk, check_scope
from notifications.features.broadcasts.trial import send_to_oneself
from notifications.models import Broadcast

_HIGHEST_PAGE = 10_000_000
PAGE_NUMBERS = (
    Query(name="page", about="From 1.", kind="integer", default=1, lowest=1, highest=_HIGHEST_PAGE),
    Query(
        name="page_size",
        about="Rows a page.",
        kind="integer",
        default=PAGE_SIZE,
        lowest=1,
        highest=200,
    ),
)
LIST_QUERY = (
    Query(name="status", about="Of this status only.", choices=tuple(BroadcastStatus)),
    Query(name="date_from", about="Created on this day (UTC) or later: YYYY-MM-DD."),
    Query(name="date_to", about="Created on this day (UTC) or earlier: YYYY-MM-DD."),
    Query(name="search", about="A part of the message, in any case."),
    Query(
        name="target_group",
        about="Of this target_group only.",
        choices=tuple(Broadcast.TargetGroup.values),
    ),
    Query(
        name="channel",
        about="On this channel, among others.",
        choices=tuple(str(channel) for channel in PERSON_CHANNELS),
    ),
    Query(
        name="created_by",
        about="Whose: an integer id, a UUID or `ext:` and your external_id.",
    ),
    *PAGE_NUMBERS,
)
STATES_QUERY = (Query(name="status", about="Of this state only.", choices=tuple(RecipientState)),)
RECIPIENTS_QUERY = (*STATES_QUERY, *PAGE_NUMBERS)


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
        created_by=whom(query["created_by"] or None, written=True, field="created_by"),
        page=query["page"],
        page_size=query["page_size"],
    )


def create(request: ApiRequest) -> BroadcastDone:
    return BroadcastDesk().create(body=request.body, caller=request.caller, now=request.now)


def broadcast(request: ApiRequest) -> BroadcastDetailAnswer:
    return BroadcastDesk().detail(request.params["id"], caller=request.caller)


def change(request: ApiRequest) -> BroadcastDone:
    return BroadcastDesk().change(
        request.params["id"], body=request.body, caller=request.caller, now=request.now
    )


def delete(request: ApiRequest) -> tuple[int, None]:
    BroadcastDesk().delete(request.params["id"], caller=request.caller, now=request.now)
    return 204, None


def recipients(request: ApiRequest) -> BroadcastRecipientList:
    found = BroadcastDesk().find(request.params["id"], caller=request.caller)
    query = request.query
    return recipient_page(
        found, status=query["status"], page=query["page"], page_size=query["page_size"]
    )


def recipients_file(request: ApiRequest) -> Download:
    found = BroadcastDesk().find(request.params["id"], caller=request.caller)
    parts = recipients_csv(found, status=request.query["status"])
    return Download(name=f"broadcast-{found.pk}-recipients.csv", parts=parts)


def progress(request: ApiRequest) -> BroadcastProgressAnswer:
    return BroadcastDesk().progress(request.params["id"], caller=request.caller, now=request.now)


def dry_run(request: ApiRequest) -> DryRunAnswer:
    return BroadcastDesk().dry_run(request.params["id"], caller=request.caller, now=request.now)


def dry_run_of_body(request: ApiRequest) -> DryRunAnswer:
    return BroadcastDesk().dry_run_of_body(
        body=request.body, caller=request.caller, now=request.now
    )


def send(request: ApiRequest) -> BroadcastDone:
    return BroadcastDesk().send(request.params["id"], caller=request.caller, now=request.now)


def cancel(request: ApiRequest) -> BroadcastCancelAnswer:
    return BroadcastDesk().cancel(request.params["id"], caller=request.caller, now=request.now)


def retry(request: ApiRequest) -> BroadcastRetryAnswer:
    return BroadcastDesk().retry(request.params["id"], caller=request.caller, now=request.now)


def retry_chosen(request: ApiRequest) -> BroadcastRetryChosenAnswer:
    body = check_body(request.body, BroadcastRetryBody)
    return BroadcastDesk().retry_chosen(
        request.params["id"], people=body.user_ids, caller=request.caller, now=request.now
    )


def duplicate(request: ApiRequest) -> BroadcastDone:
    return copy_broadcast(request.params["id"], caller=request.caller, now=request.now)


def send_test(request: ApiRequest) -> BroadcastTestAnswer:
    count_send(kind="send", caller=request.caller, now=request.now)
    return send_to_oneself(request.params["id"], caller=request.caller, now=request.now)


def pause(request: ApiRequest) -> BroadcastDone:
    return BroadcastDesk().pause(request.params["id"], caller=request.caller, now=request.now)


def resume(request: ApiRequest) -> BroadcastDone:
    return BroadcastDesk().resume(request.params["id"], caller=request.caller, now=request.now)


def approve(request: ApiRequest) -> BroadcastDone:
    return BroadcastDesk().approve(request.params["id"], caller=request.caller, now=request.now)


def reject(request: ApiRequest) -> BroadcastDone:
    body = check_body(request.body, BroadcastRejectBody)
    return BroadcastDesk().reject(
        request.params["id"], note=body.note, caller=request.caller, now=request.now
    )


def _days(*texts: str) -> list[date | None]:
    """The days of date_from and date_to.

    Raises:
        InvalidRequest: with a fault for each that is none.
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
