"""Request bodies and responses of audiences and saved segments."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Description = Annotated[str, msgspec.Meta(max_length=1000)]


class AudienceBody(msgspec.Struct, kw_only=True):
    """An audience: docs/audiences.md has the language."""

    audience: dict[str, Any]


class MissingResponse(msgspec.Struct, kw_only=True):
    """Somebody of a list who is told nothing. reason: unknown_user or inactive_user."""

    user_id: int | str
    reason: str
    path: str


class AudienceCountResponse(msgspec.Struct, kw_only=True):
    """How many people an audience holds, and in words who they are. missing: the first 100 of the
    listed people who are told nothing; missing_count: how many they are."""

    count: int
    description: str
    missing_count: int
    missing: list[MissingResponse]


class AudiencePerson(msgspec.Struct, kw_only=True):
    """Somebody of an audience."""

    id: int
    uuid: UUID
    username: str
    first_name: str
    last_name: str
    role: str
    locale: str
    timezone: str


class AudiencePreviewResponse(msgspec.Struct, kw_only=True):
    """A page of the people, by rising id."""

    results: list[AudiencePerson]
    next: str | None = None
    previous: str | None = None


class SegmentBody(msgspec.Struct, kw_only=True):
    """A segment: a name for criteria."""

    name: Name
    criteria: dict[str, Any]
    description: Description = ""


class SegmentResponse(msgspec.Struct, kw_only=True):
    """A saved segment. key is its place in lists; words say the criteria to people."""

    id: UUID
    key: int
    name: str
    description: str
    criteria: dict[str, Any]
    words: str
    created_at: datetime
    updated_at: datetime


class SegmentList(msgspec.Struct, kw_only=True):
    """A page of segments, the oldest first."""

    results: list[SegmentResponse]
    next: str | None = None
    previous: str | None = None
