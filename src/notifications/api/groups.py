"""Groups and their members."""

from __future__ import annotations

from notifications.api.bodies import check_body
from notifications.api.pages import links, page_of
from notifications.api.route import ApiRequest
from notifications.features.people.groups import GroupService
from notifications.features.people.relation_schemas import (
    GroupAnswer,
    GroupBody,
    GroupList,
    MembersAnswer,
    MembersBody,
    MemberSetBody,
)
from notifications.features.people.schemas import UserList


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


def group(request: ApiRequest) -> GroupAnswer:
    return GroupService().get(identifier=request.params["id"], caller=request.caller)


def create(request: ApiRequest) -> GroupAnswer:
    body = check_body(request.body, GroupBody)
    return GroupService().create(name=body.name, kind=body.kind, caller=request.caller)


def change(request: ApiRequest) -> GroupAnswer:
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


def change_members(request: ApiRequest) -> MembersAnswer:
    body = check_body(request.body, MembersBody)
    return GroupService().change_members(
        identifier=request.params["id"], add=body.add, remove=body.remove, caller=request.caller
    )


def set_members(request: ApiRequest) -> MembersAnswer:
    body = check_body(request.body, MemberSetBody)
    return GroupService().set_members(
        identifier=request.params["id"], members=body.members, caller=request.caller
    )
