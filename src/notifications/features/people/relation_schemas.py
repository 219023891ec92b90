"""Request and response schemas of groups, subjects, relations and suppressed addresses."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from notifications.features.sending.schemas import RejectionResponse
from notifications.infra.field_types import ContactKindName, NextPage, PreviousPage, UserRef

Name = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=200,
        description="The unique name, 1 to 200 characters.",
        examples=["Algebra"],
    ),
]
MadeAt = Annotated[datetime, msgspec.Meta(description="When it was made (RFC 3339).")]
RowId = Annotated[int, msgspec.Meta(description="The integer id of the row.", examples=[7])]
GroupKind = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=20,
        description="What the group is, in your own words, 1 to 20 characters.",
        examples=["course"],
    ),
]


class GroupBody(msgspec.Struct, kw_only=True):
    """A group of users, such as a course, a class or a topic."""

    name: Name
    kind: GroupKind = "topic"


class GroupResponse(msgspec.Struct, kw_only=True):
    """A group."""

    id: UUID
    """The id of the group."""

    number: int
    """The integer id of the group, by which lists are ordered. Example: `5`"""

    name: str
    """The unique name of the group. Example: `Algebra`"""

    kind: str
    """What the group is, in your own words. Example: `course`"""

    members: int
    """The number of its members. Example: `24`"""

    created_at: MadeAt


class GroupList(msgspec.Struct, kw_only=True):
    """A page of groups, the oldest first."""

    results: list[GroupResponse]
    """The groups of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class MembersBody(msgspec.Struct, kw_only=True):
    """Members to add and to remove, up to 10,000 in one call."""

    add: list[UserRef] = []
    """The users to add, each by id, UUID, `ext:` and `external_id`, or username."""

    remove: list[UserRef] = []
    """The users to remove, each by id, UUID, `ext:` and `external_id`, or username."""


class MemberSetBody(msgspec.Struct, kw_only=True):
    """All members of a group, up to 10,000."""

    members: list[UserRef]
    """The users, each by id, UUID, `ext:` and `external_id`, or username."""


class MembersResponse(msgspec.Struct, kw_only=True):
    """The changes of a group's members."""

    added: int
    """The number of users that became members. Example: `3`"""

    removed: int
    """The number of users that are no longer members. Example: `1`"""

    unknown: list[UserRef]
    """The entries that name no user; all other entries had their effect."""


class SubjectBody(msgspec.Struct, kw_only=True):
    """A subject that is taught."""

    name: Name


class SubjectResponse(msgspec.Struct, kw_only=True):
    """A subject."""

    id: RowId

    name: str
    """The unique name of the subject. Example: `Algebra`"""

    created_at: MadeAt


class SubjectList(msgspec.Struct, kw_only=True):
    """A page of subjects, the oldest first."""

    results: list[SubjectResponse]
    """The subjects of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class LinksBody(msgspec.Struct, kw_only=True):
    """Relations to write, up to 10,000 in one call."""

    rows: list[dict[str, Any]]
    """The relations. Each names its ends: users by any identifier, a subject by id or name.
    Example: `[{"student": "ext:p-7", "subject": "Algebra", "teacher": 12}]`"""


class LinksResponse(msgspec.Struct, kw_only=True):
    """The result of writing rows."""

    created: int
    """The number of rows that were made. Example: `10`"""

    unchanged: int
    """The number of rows that were there before. Example: `2`"""

    rejected: list[RejectionResponse]
    """The rows that were not accepted."""


class LinkResponse(msgspec.Struct, kw_only=True):
    """One relation."""

    id: RowId

    ends: dict[str, int | None]
    """The integer ids of its ends by name. Example: `{"parent": 12, "student": 42}`"""

    created_at: MadeAt


class LinkList(msgspec.Struct, kw_only=True):
    """A page of relations, the oldest first."""

    results: list[LinkResponse]
    """The relations of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class SuppressionRow(msgspec.Struct, kw_only=True):
    """An address that nothing may be sent to."""

    kind: ContactKindName

    address: str
    """The address as a user would write it. Example: `ada@example.com`"""

    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""
    """Why nothing may be sent to it, up to 200 characters. Example: `asked by letter`"""


class SuppressionsBody(msgspec.Struct, kw_only=True):
    """Addresses to suppress, up to 10,000 in one call."""

    suppressions: list[SuppressionRow]
    """The addresses, up to 10,000."""


class SuppressionResponse(msgspec.Struct, kw_only=True):
    """A suppressed address."""

    id: RowId
    kind: ContactKindName

    address: str
    """The address in its normal form. Example: `ada@example.com`"""

    reason: str
    """Why nothing may be sent to it. Example: `complaint`"""

    source: str
    """What put the address on the list: a caller or a provider. Example: `key:7`"""

    created_at: MadeAt


class SuppressionList(msgspec.Struct, kw_only=True):
    """A page of suppressed addresses, the oldest first."""

    results: list[SuppressionResponse]
    """The addresses of this page."""

    next: NextPage = None
    previous: PreviousPage = None
