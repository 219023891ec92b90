"""Request and response schemas of audiences and saved segments."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from notifications.infra.field_types import (
    LocaleName,
    NextPage,
    PreviousPage,
    RoleName,
    UserRef,
    ZoneName,
    choice,
)

Name = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=200,
        description="The unique name, 1 to 200 characters.",
        examples=["Inactive students"],
    ),
]
Description = Annotated[
    str,
    msgspec.Meta(
        max_length=1000,
        description="What the segment is for, up to 1,000 characters.",
        examples=["For the reminder in May"],
    ),
]
Criteria = Annotated[
    dict[str, Any],
    msgspec.Meta(
        description="The criteria in the language of segments.",
        examples=[{"field": "role", "op": "eq", "value": "student"}],
    ),
]


class AudienceBody(msgspec.Struct, kw_only=True):
    """An audience."""

    audience: dict[str, Any]
    """The rule that resolves to users, in the language of audiences.
    Example: `{"rule": "all_students"}`"""


class MissingResponse(msgspec.Struct, kw_only=True):
    """An entry of a list that is not notified."""

    user_id: UserRef

    reason: Annotated[
        str,
        choice("MissingReason", ("unknown_user", "inactive_user"), "Why it is not notified."),
    ]

    path: str
    """The place of the entry in the audience. Example: `user_ids[3]`"""


class AudienceCountResponse(msgspec.Struct, kw_only=True):
    """The size of an audience."""

    count: int
    """The number of its users. Example: `240`"""

    description: str
    """The rule in words. Example: `All students`"""

    missing_count: int
    """The number of listed users that are not notified. Example: `2`"""

    missing: list[MissingResponse]
    """The first 100 of them."""


class AudiencePerson(msgspec.Struct, kw_only=True):
    """A user of an audience."""

    id: int
    """Carillon's integer id of the user. Example: `42`"""

    uuid: UUID
    """Carillon's UUID of the user."""

    username: str
    """The unique name that the user signs in with. Example: `ada`"""

    first_name: str
    """The given name. Example: `Ada`"""

    last_name: str
    """The family name. Example: `Lovelace`"""

    role: RoleName
    locale: LocaleName
    timezone: ZoneName


class AudiencePreviewResponse(msgspec.Struct, kw_only=True):
    """A page of an audience's users, by id."""

    results: list[AudiencePerson]
    """The users of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class SegmentBody(msgspec.Struct, kw_only=True):
    """Criteria to save under a name."""

    name: Name
    criteria: Criteria
    description: Description = ""


class SegmentResponse(msgspec.Struct, kw_only=True):
    """A saved segment."""

    id: UUID
    """The id of the segment."""

    key: int
    """The integer id of the segment, by which lists are ordered. Example: `4`"""

    name: str
    """The unique name of the segment. Example: `Inactive students`"""

    description: str
    """What the segment is for; empty for none. Example: `For the reminder in May`"""

    criteria: Criteria

    words: str
    """The criteria in words. Example: `role is student`"""

    created_at: datetime
    """When it was made (RFC 3339)."""

    updated_at: datetime
    """When it was last changed (RFC 3339)."""


class SegmentList(msgspec.Struct, kw_only=True):
    """A page of segments, the oldest first."""

    results: list[SegmentResponse]
    """The segments of this page."""

    next: NextPage = None
    previous: PreviousPage = None
