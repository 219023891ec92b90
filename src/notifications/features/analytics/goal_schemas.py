"""Requests and responses of goals, events and conversions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from notifications.infra.field_types import (
    ExternalIdOrNone,
    NextPage,
    PreviousPage,
    UserRefOrNone,
)

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
EventKey = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
MOST_EVENTS = 10_000


class GoalBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A goal: an event that people should cause after a message."""

    name: Name
    """The name of the goal; no other goal has it. Example: `Course bought`"""

    event: Name
    """The name of the event. Example: `course.bought`"""

    window_days: Annotated[int, msgspec.Meta(ge=1, le=90)] = 7
    """For how many days after the engagement the event counts. Example: `7`"""

    counts_opens: bool = False
    """Whether an open counts as engagement where no link was clicked. Example: `false`"""


class GoalResponse(msgspec.Struct, kw_only=True):
    """A goal."""

    id: int
    """The integer id of the goal. Example: `3`"""

    name: str
    """The name of the goal. Example: `Course bought`"""

    event: str
    """The name of the event. Example: `course.bought`"""

    window_days: int
    """For how many days after the engagement the event counts. Example: `7`"""

    counts_opens: bool
    """Whether an open counts as engagement where no link was clicked. Example: `false`"""

    created_at: datetime
    """When the goal was made. Events since then count. Example: `2026-11-30T09:00:00Z`"""


class GoalList(msgspec.Struct, kw_only=True):
    """A page of goals, the oldest first."""

    results: list[GoalResponse]
    """The goals of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class EventBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Something that a user did."""

    user_id: UserRefOrNone = None
    external_id: ExternalIdOrNone = None

    name: Name
    """The name of the event. Example: `course.bought`"""

    properties: dict[str, Any] = {}
    """What the caller wants to store with it, encrypted. Example: `{"course": "algebra"}`"""

    occurred_at: datetime | None = None
    """When it happened (RFC 3339); now without it. Example: `2026-11-30T09:00:00Z`"""

    idempotency_key: EventKey | None = None
    """The caller's own key: the same key is the same event. Without it, an event with the same
    user, name, time and properties is the same. Example: `order-4711`"""


class EventsBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Events. A body with the fields of one event, without `events`, is that event."""

    events: Annotated[list[EventBody], msgspec.Meta(min_length=1, max_length=MOST_EVENTS)]
    """The events, in any order. Example: `[{"user_id": 7, "name": "course.bought"}]`"""


class RejectedEvent(msgspec.Struct, kw_only=True):
    """An event that was not stored."""

    index: int
    """Its place in the list, from 0. Example: `17`"""

    code: str
    """The code of the error. Example: `unknown_user`"""

    detail: str
    """What is wrong. Example: `there is no such user`"""


class EventsResponse(msgspec.Struct, kw_only=True):
    """What became of the events of a call."""

    accepted: int
    """Events that are stored now. Example: `9998`"""

    duplicates: int
    """Those of the accepted that were stored before. Example: `2`"""

    rejected: list[RejectedEvent]
    """Events that were not stored. The others are."""


class ConversionBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A conversion: the event that a goal names."""

    goal: Name
    """The name of the goal. Example: `Course bought`"""

    user_id: UserRefOrNone = None
    external_id: ExternalIdOrNone = None

    properties: dict[str, Any] = {}
    """What the caller wants to store with it, encrypted. Example: `{"course": "algebra"}`"""

    occurred_at: datetime | None = None
    """When it happened (RFC 3339); now without it. Example: `2026-11-30T09:00:00Z`"""

    idempotency_key: EventKey | None = None
    """The caller's own key: the same key is the same conversion. Example: `order-4711`"""


class ConversionResponse(msgspec.Struct, kw_only=True):
    """A conversion, and the notification to which it is attributed."""

    goal: str
    """The name of the goal. Example: `Course bought`"""

    occurred_at: datetime
    """When it happened. Example: `2026-11-30T09:00:00Z`"""

    notification_id: UUID | None
    """The notification with which the user engaged last, within the window of the goal; null
    without one. Example: `0195d3c4-8f00-7a30-9c11-6f0d4c3b2a10`"""

    channel: str | None
    """The channel of its message, or null. Example: `email`"""

    touched_at: datetime | None
    """When the user engaged with it, or null. Example: `2026-11-30T08:51:00Z`"""
