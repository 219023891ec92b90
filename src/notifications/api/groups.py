"""Routes of groups and their members."""

from __future__ import annotations

from notifications.api.bodies import check_body
from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Query, Route
from notifications.features.people.groups import GroupService
from notifications.features.people.relation_schemas import (
    GroupBody,
    GroupList,
    GroupResponse,
    MembersBody,
    MemberSetBody,
    MembersResponse,
)
from notifications.features.people.schemas import UserList
from notifications.features.people.service import READ, WRITE


def groups(request: ApiRequest) -> GroupList:
    page = page_of(request)
    found = GroupService().list(
        caller=request.caller,
        name=request.query["name"],
        kind=request.query["kind"],
        after=page.after,
        limit=page.fetch,
    )
    following, previous = links(request, page, [group.number for group in found])
    return GroupList(results=list(found[: page.limit]), next=following, previous=previous)


def group(request: ApiRequest) -> GroupResponse:
    return GroupService().get(identifier=request.params["id"], caller=request.caller)


def create(request: ApiRequest) -> GroupResponse:
    body = check_body(request.body, GroupBody)
    return GroupService().create(name=body.name, kind=body.kind, caller=request.caller)


def change(request: ApiRequest) -> GroupResponse:
    body = check_body(request.body, GroupBody)
    return GroupService().change(
        identifier=request.params["id"], name=body.name, kind=body.kind, caller=request.caller
    )


def delete(request: ApiRequest) -> tuple[int, None]:
    GroupService().delete(identifier=request.params["id"], caller=request.caller)
    return 204, None


def members(request: ApiRequest) -> UserList:
    page = page_of(request)
    found = GroupService().members(
        identifier=request.params["id"],
        caller=request.caller,
        after=page.after,
        limit=page.fetch,
    )
    following, previous = links(request, page, [user.id for user in found])
    return UserList(results=list(found[: page.limit]), next=following, previous=previous)


def change_members(request: ApiRequest) -> MembersResponse:
    body = check_body(request.body, MembersBody)
    return GroupService().change_members(
        identifier=request.params["id"], add=body.add, remove=body.remove, caller=request.caller
    )


def set_members(request: ApiRequest) -> MembersResponse:
    body = check_body(request.body, MemberSetBody)
    return GroupService().set_members(
        identifier=request.params["id"], members=body.members, caller=request.caller
    )


ROUTES: tuple[Route, ...] = (
    Route(
        name="list_groups",
        method="GET",
        path="/api/v1/groups",
        handler=groups,
        summary="List groups, the oldest first.",
        scope=READ,
        query=(
            Query(name="name", about="The beginning of a name."),
            Query(name="kind", about="Only this kind."),
            *PAGE_QUERY,
        ),
        responses={200: GroupList},
    ),
    Route(
        name="create_group",
        method="POST",
        path="/api/v1/groups",
        handler=create,
        summary="Make a group.",
        scope=WRITE,
        body=GroupBody,
        responses={201: GroupResponse},
        errors=(409,),
        idempotent=True,
    ),
    Route(
        name="get_group",
        method="GET",
        path="/api/v1/groups/{id}",
        handler=group,
        summary="Get one group.",
        scope=READ,
        responses={200: GroupResponse},
        errors=(404,),
    ),
    Route(
        name="change_group",
        method="PUT",
        path="/api/v1/groups/{id}",
        handler=change,
        summary="Rename a group or change its kind.",
        scope=WRITE,
        body=GroupBody,
        responses={200: GroupResponse},
        errors=(404, 409),
    ),
    Route(
        name="delete_group",
        method="DELETE",
        path="/api/v1/groups/{id}",
        handler=delete,
        summary="Remove a group and its memberships.",
        scope=WRITE,
        responses={204: None},
        errors=(404,),
    ),
    Route(
        name="list_members",
        method="GET",
        path="/api/v1/groups/{id}/members",
        handler=members,
        summary="List the members of a group.",
        scope=READ,
        query=PAGE_QUERY,
        responses={200: UserList},
        errors=(404,),
    ),
    Route(
        name="change_members",
        method="POST",
        path="/api/v1/groups/{id}/members",
        handler=change_members,
        summary="Add and remove members.",
        scope=WRITE,
        body=MembersBody,
        responses={200: MembersResponse},
        errors=(404,),
        idempotent=True,
    ),
    Route(
        name="set_members",
        method="PUT",
        path="/api/v1/groups/{id}/members",
        handler=set_members,
        summary="Set the members of a group; other members are removed.",
        scope=WRITE,
        body=MemberSetBody,
        responses={200: MembersResponse},
        errors=(404,),
    ),
)
