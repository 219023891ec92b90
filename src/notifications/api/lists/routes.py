"""Routes of mailing lists and who is on them."""

from __future__ import annotations

from directory.models import ListStatus
from notifications.api.bodies import check_body
from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.response import CSV_TYPE
from notifications.api.route import ApiRequest, Download, Query, Route
from notifications.api.user_reference import user_in_body
from notifications.features.lists.importing import import_people
from notifications.features.lists.members import MemberService
from notifications.features.lists.schemas import (
    LeaveBody,
    ListBody,
    ListChangeBody,
    ListImportBody,
    ListImportResponse,
    ListPage,
    ListResponse,
    SubscribeBody,
    SubscriptionPage,
    SubscriptionResponse,
)
from notifications.features.lists.service import READ, WRITE, ListService
from notifications.infra.http.client_address import address_of

ONE = "/api/v1/lists/{id}"
_STATUS = (Query(name="status", about="Only this status.", choices=tuple(ListStatus.values)),)


def lists(request: ApiRequest) -> ListPage:
    page = page_of(request)
    found = ListService().list(caller=request.caller, after=page.after, limit=page.fetch)
    following, previous = links(request, page, [each.key for each in found])
    return ListPage(results=list(found[: page.limit]), next=following, previous=previous)


def one(request: ApiRequest) -> ListResponse:
    return ListService().get(identifier=request.params["id"], caller=request.caller)


def create(request: ApiRequest) -> ListResponse:
    return ListService().create(body=check_body(request.body, ListBody), caller=request.caller)


def change(request: ApiRequest) -> ListResponse:
    body = check_body(request.body, ListChangeBody)
    return ListService().change(identifier=request.params["id"], body=body, caller=request.caller)


def delete(request: ApiRequest) -> tuple[int, None]:
    ListService().delete(identifier=request.params["id"], caller=request.caller)
    return 204, None


def subscribe(request: ApiRequest) -> SubscriptionResponse:
    body = check_body(request.body, SubscribeBody)
    return MemberService().subscribe(
        identifier=request.params["id"],
        person=user_in_body(body),
        caller=request.caller,
        wording=body.wording,
        source=body.source,
        ip=_ip(request),
    )


def unsubscribe(request: ApiRequest) -> SubscriptionResponse:
    body = check_body(request.body, LeaveBody)
    return MemberService().unsubscribe(
        identifier=request.params["id"],
        person=user_in_body(body),
        caller=request.caller,
        source=body.source,
        ip=_ip(request),
    )


def import_rows(request: ApiRequest) -> ListImportResponse:
    body = check_body(request.body, ListImportBody)
    return import_people(
        identifier=request.params["id"], body=body, caller=request.caller, ip=_ip(request)
    )


def members(request: ApiRequest) -> SubscriptionPage:
    page = page_of(request)
    found = MemberService().list(
        identifier=request.params["id"],
        caller=request.caller,
        status=request.query["status"],
        after=page.after,
        limit=page.fetch,
    )
    following, previous = links(request, page, [each.user_id for each in found])
    return SubscriptionPage(results=list(found[: page.limit]), next=following, previous=previous)


def members_file(request: ApiRequest) -> Download:
    parts = MemberService().as_csv(
        identifier=request.params["id"], caller=request.caller, status=request.query["status"]
    )
    return Download(name="list-members.csv", parts=parts)


def _ip(request: ApiRequest) -> str | None:
    return address_of(request.http) or None


ROUTES: tuple[Route, ...] = (
    Route(
        name="list_lists",
        method="GET",
        path="/api/v1/lists",
        handler=lists,
        summary="List mailing lists, the oldest first.",
        scope=READ,
        query=PAGE_QUERY,
        responses={200: ListPage},
    ),
    Route(
        name="create_list",
        method="POST",
        path="/api/v1/lists",
        handler=create,
        summary="Make a mailing list.",
        scope=WRITE,
        body=ListBody,
        responses={201: ListResponse},
        errors=(409,),
        idempotent=True,
    ),
    Route(
        name="get_list",
        method="GET",
        path=ONE,
        handler=one,
        summary="Get a mailing list and the number of its users.",
        scope=READ,
        responses={200: ListResponse},
        errors=(404,),
    ),
    Route(
        name="change_list",
        method="PATCH",
        path=ONE,
        handler=change,
        summary="Change some fields of a mailing list.",
        scope=WRITE,
        body=ListChangeBody,
        responses={200: ListResponse},
        errors=(404, 409),
    ),
    Route(
        name="delete_list",
        method="DELETE",
        path=ONE,
        handler=delete,
        summary="Delete a mailing list and who is on it; the consent ledger stays.",
        scope=WRITE,
        responses={204: None},
        errors=(404, 409),
    ),
    Route(
        name="subscribe_to_list",
        method="POST",
        path=f"{ONE}/subscribe",
        handler=subscribe,
        summary="Put a user on a list, or ask the user to confirm by email (double opt-in).",
        service_scope=WRITE,
        body=SubscribeBody,
        responses={200: SubscriptionResponse},
        errors=(403, 404, 409, 429),
        idempotent=True,
    ),
    Route(
        name="unsubscribe_from_list",
        method="POST",
        path=f"{ONE}/unsubscribe",
        handler=unsubscribe,
        summary="Take a user off a list.",
        service_scope=WRITE,
        body=LeaveBody,
        responses={200: SubscriptionResponse},
        errors=(403, 404),
        idempotent=True,
    ),
    Route(
        name="import_into_list",
        method="POST",
        path=f"{ONE}/import",
        handler=import_rows,
        summary="Add up to 10,000 users to a list; wrong rows are reported.",
        scope=WRITE,
        body=ListImportBody,
        responses={200: ListImportResponse},
        errors=(404,),
        idempotent=True,
    ),
    Route(
        name="list_subscribers",
        method="GET",
        path=f"{ONE}/members",
        handler=members,
        summary="List the users of a mailing list, by id.",
        scope=READ,
        query=(*_STATUS, *PAGE_QUERY),
        responses={200: SubscriptionPage},
        errors=(404,),
    ),
    Route(
        name="export_subscribers",
        method="GET",
        path=f"{ONE}/members.csv",
        handler=members_file,
        summary="Export the users of a mailing list as a CSV file.",
        scope=READ,
        query=_STATUS,
        responses={200: None},
        errors=(404,),
        media=CSV_TYPE,
    ),
)
