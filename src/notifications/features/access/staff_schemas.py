"""Requests and responses about staff and their groups."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from directory.models import StaffRole
from notifications.infra.field_types import CategoryKey, NextPage, PreviousPage, choice

MOST_CATEGORIES = 200
MOST_MEMBERS = 1_000

StaffRoleName = Annotated[
    str,
    choice(
        "StaffRole",
        StaffRole.values,
        "What a member of staff may do. `docs/reference/permissions.md` has the routes of each.",
    ),
]


class StaffMemberResponse(msgspec.Struct, kw_only=True):
    """A member of staff."""

    user_id: int
    """The integer id of the user. Example: `42`"""

    uuid: UUID
    """The UUID of the user."""

    username: str
    """The name that the member signs in with. Example: `ada`"""

    staff_role: StaffRoleName | None
    """The role; null for a user who is no member of staff any more."""

    is_active: bool
    """Whether the member can sign in. Example: `true`"""

    group_ids: list[int]
    """The ids of the groups of staff that limit the member. Example: `[3]`"""


class StaffRoleBody(msgspec.Struct, kw_only=True):
    """The role to give."""

    staff_role: StaffRoleName | None
    """The role; null ends the membership of staff, and of every group of staff."""


class StaffMemberList(msgspec.Struct, kw_only=True):
    """A page of members of staff, by ascending id of their users."""

    results: list[StaffMemberResponse]
    """The members of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class StaffGroupBody(msgspec.Struct, kw_only=True):
    """A group of staff."""

    name: Annotated[str, Meta(max_length=100)]
    """The unique name, up to 100 characters. Example: `Course editors`"""

    categories: list[CategoryKey]
    """The keys of the categories that its members may work in, at most 200; with an empty list
    they may work in none. Example: `["course"]`"""


class StaffGroupResponse(msgspec.Struct, kw_only=True):
    """A group of staff."""

    id: int
    """The integer id of the group. Example: `3`"""

    name: str
    """The unique name. Example: `Course editors`"""

    categories: list[CategoryKey]
    """The keys of the categories that its members may work in. Example: `["course"]`"""

    members: int
    """The number of members. Example: `4`"""

    created_at: datetime
    """When the group was made (RFC 3339)."""


class StaffGroupList(msgspec.Struct, kw_only=True):
    """A page of groups of staff, the oldest first."""

    results: list[StaffGroupResponse]
    """The groups of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class StaffMembersBody(msgspec.Struct, kw_only=True):
    """Exactly the members that a group of staff is to have."""

    user_ids: Annotated[
        list[Annotated[int, Meta(ge=1, le=(1 << 63) - 1)]], Meta(max_length=MOST_MEMBERS)
    ]
    """The integer ids of members of staff, at most 1,000. Example: `[42]`"""
