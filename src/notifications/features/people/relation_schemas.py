"""Shapes of groups, subjects and relations as the API accepts and returns them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from notifications.features.sending.schemas import RejectionResponse

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class GroupBody(msgspec.Struct, kw_only=True):
    """A course, class or topic. kind is a word of the platform's, such as course."""

    name: Name
    kind: Annotated[str, msgspec.Meta(min_length=1, max_length=20)] = "topic"


class GroupResponse(msgspec.Struct, kw_only=True):
    """A group and how many belong to it."""

    id: UUID
    number: int
    name: str
    kind: str
    members: int
    created_at: datetime


class GroupList(msgspec.Struct, kw_only=True):
    """A page of groups, the oldest first."""

    results: list[GroupResponse]
    next: str | None = None
    previous: str | None = None


class MembersBody(msgspec.Struct, kw_only=True):
    """People by id, uuid, `ext:` and external_id, or username; up to 10,000 a call."""

    add: list[int | str] = []
    remove: list[int | str] = []


class MemberSetBody(msgspec.Struct, kw_only=True):
    """The whole membership, by id, uuid, `ext:` and external_id, or username; up to 10,000."""

    members: list[int | str]


class MembersResponse(msgspec.Struct, kw_only=True):
    """What changed. unknown: those who are nobody we know; the others were taken."""

    added: int
    removed: int
    unknown: list[int | str]


class SubjectBody(msgspec.Struct, kw_only=True):
    """Something that is taught."""

    name: Name


class SubjectResponse(msgspec.Struct, kw_only=True):
    """A subject."""

    id: int
    name: str
    created_at: datetime


class SubjectList(msgspec.Struct, kw_only=True):
    """A page of subjects, the oldest first."""

    results: list[SubjectResponse]
    next: str | None = None
    previous: str | None = None


class LinksBody(msgspec.Struct, kw_only=True):
    """Relations to be written, up to 10,000 a call."""

    rows: list[dict[str, Any]]


class LinksResponse(msgspec.Struct, kw_only=True):
    """What became of them; `index` counts from 0."""

    created: int
    unchanged: int
    rejected: list[RejectionResponse]


class LinkResponse(msgspec.Struct, kw_only=True):
    """One relation: the ids of its ends."""

    id: int
    ends: dict[str, int | None]
    created_at: datetime


class LinkList(msgspec.Struct, kw_only=True):
    """A page of relations, the oldest first."""

    results: list[LinkResponse]
    next: str | None = None
    previous: str | None = None


class SuppressionRow(msgspec.Struct, kw_only=True):
    """An address that nothing may be sent to. kind: email, phone, telegram, webhook or chat."""

    kind: str
    address: str
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""


class SuppressionsBody(msgspec.Struct, kw_only=True):
    """Addresses to be suppressed, up to 10,000 a call."""

    suppressions: list[SuppressionRow]


class SuppressionResponse(msgspec.Struct, kw_only=True):
    """A suppressed address."""

    id: int
    kind: str
    address: str
    reason: str
    source: str
    created_at: datetime


class SuppressionList(msgspec.Struct, kw_only=True):
    """A page of suppressed addresses, the oldest first."""

    results: list[SuppressionResponse]
    next: str | None = None
    previous: str | None = None
