"""Routes of staff and of their groups."""

from __future__ import annotations

from directory.models import StaffRole
from notifications.api.bodies import check_body
from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Query, Route
from notifications.domain.scopes import STAFF_SCOPE
from notifications.features.access.staff import StaffService
from notifications.features.access.staff_groups import StaffGroupService
from notifications.features.access.staff_schemas import (
    StaffGroupBody,
    StaffGroupList,
    StaffGroupResponse,
    StaffMemberList,
    StaffMemberResponse,
    StaffMembersBody,
    StaffRoleBody,
)


def staff(request: ApiRequest) -> StaffMemberList:
    page = page_of(request)
    found = StaffService().list(
        caller=request.caller, role=request.query["role"], after=page.after, limit=page.fetch
    )
    following, previous = links(request, page, [each.user_id for each in found])
    return StaffMemberList(results=found[: page.limit], next=following, previous=previous)


def member(request: ApiRequest) -> StaffMemberResponse:
    return StaffService().get(identifier=request.params["id"], caller=request.caller)


def set_role(request: ApiRequest) -> StaffMemberResponse:
    body = check_body(request.body, StaffRoleBody)
    return StaffService().set_role(
        identifier=request.params["id"], role=body.staff_role, caller=request.caller
    )


def groups(request: ApiRequest) -> StaffGroupList:
    page = page_of(request)
    found = StaffGroupService().list(caller=request.caller, after=page.after, limit=page.fetch)
    following, previous = links(request, page, [each.id for each in found])
    return StaffGroupList(results=found[: page.limit], next=following, previous=previous)


def group(request: ApiRequest) -> StaffGroupResponse:
    return StaffGroupService().get(identifier=request.params["id"], caller=request.caller)


def create_group(request: ApiRequest) -> StaffGroupResponse:
    body = check_body(request.body, StaffGroupBody)
    return StaffGroupService().create(
        name=body.name, categories=body.categories, caller=request.caller
    )


def change_group(request: ApiRequest) -> StaffGroupResponse:
    body = check_body(request.body, StaffGroupBody)
    return StaffGroupService().change(
        identifier=request.params["id"],
        name=body.name,
        categories=body.categories,
        caller=request.caller,
    )


def delete_group(request: ApiRequest) -> tuple[int, None]:
    StaffGroupService().delete(identifier=request.params["id"], caller=request.caller)
    return 204, None


def members(request: ApiRequest) -> StaffMemberList:
    page = page_of(request)
    found = StaffGroupService().members(
        identifier=request.params["id"],
        caller=request.caller,
        after=page.after,
        limit=page.fetch,
    )
    following, previous = links(request, page, [each.user_id for each in found])
    return StaffMemberList(results=list(found[: page.limit]), next=following, previous=previous)


def set_members(request: ApiRequest) -> StaffGroupResponse:
    body = check_body(request.body, StaffMembersBody)
    return StaffGroupService().set_members(
        identifier=request.params["id"], user_ids=body.user_ids, caller=request.caller
    )


ROUTES: tuple[Route, ...] = (
    Route(
        name="list_staff",
        method="GET",
        path="/api/v1/staff",
        handler=staff,
        summary="List members of staff with their roles and groups.",
        scope=STAFF_SCOPE,
        query=(
            Query(name="role", about="Only those with this role.", choices=tuple(StaffRole.values)),
            *PAGE_QUERY,
        ),
        responses={200: StaffMemberList},
    ),
    Route(
        name="get_staff_member",
        method="GET",
        path="/api/v1/staff/{id}",
        handler=member,
        summary="Get one member of staff.",
        scope=STAFF_SCOPE,
        responses={200: StaffMemberResponse},
        errors=(404,),
    ),
    Route(
        name="set_staff_role",
        method="PUT",
        path="/api/v1/staff/{id}",
        handler=set_role,
        summary="Give a user a role of staff, or end it with null.",
        scope=STAFF_SCOPE,
        body=StaffRoleBody,
        responses={200: StaffMemberResponse},
        errors=(404, 409),
    ),
    Route(
        name="list_staff_groups",
        method="GET",
        path="/api/v1/staff-groups",
        handler=groups,
        summary="List groups of staff with their categories.",
        scope=STAFF_SCOPE,
        query=PAGE_QUERY,
        responses={200: StaffGroupList},
    ),
    Route(
        name="create_staff_group",
        method="POST",
        path="/api/v1/staff-groups",
        handler=create_group,
        summary="Create a group of staff, which limits its members to some categories.",
        scope=STAFF_SCOPE,
        body=StaffGroupBody,
        responses={201: StaffGroupResponse},
        errors=(409,),
        idempotent=True,
    ),
    Route(
        name="get_staff_group",
        method="GET",
        path="/api/v1/staff-groups/{id}",
        handler=group,
        summary="Get one group of staff.",
        scope=STAFF_SCOPE,
        responses={200: StaffGroupResponse},
        errors=(404,),
    ),
    Route(
        name="change_staff_group",
        method="PUT",
        path="/api/v1/staff-groups/{id}",
        handler=change_group,
        summary="Set the name and the categories of a group of staff.",
        scope=STAFF_SCOPE,
        body=StaffGroupBody,
        responses={200: StaffGroupResponse},
        errors=(404, 409),
    ),
    Route(
        name="delete_staff_group",
        method="DELETE",
        path="/api/v1/staff-groups/{id}",
        handler=delete_group,
        summary="Delete a group of staff that has no members.",
        scope=STAFF_SCOPE,
        responses={204: None},
        errors=(404, 409),
    ),
    Route(
        name="list_staff_group_members",
        method="GET",
        path="/api/v1/staff-groups/{id}/members",
        handler=members,
        summary="List the members of a group of staff.",
        scope=STAFF_SCOPE,
        query=PAGE_QUERY,
        responses={200: StaffMemberList},
        errors=(404,),
    ),
    Route(
        name="set_staff_group_members",
        method="PUT",
        path="/api/v1/staff-groups/{id}/members",
        handler=set_members,
        summary="Set exactly the members of a group of staff.",
        scope=STAFF_SCOPE,
        body=StaffMembersBody,
        responses={200: StaffGroupResponse},
        errors=(404,),
    ),
)
