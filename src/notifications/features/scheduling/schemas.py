"""Response schemas of scheduled notifications and series."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from notifications.features.sending.schemas import ScheduledState
from notifications.infra.field_types import (
    AcceptedAt,
    DueAt,
    NextPage,
    PreviousPage,
    SentAt,
    choice,
)
from notifications.intake.schedule import MisfireName
from notifications.models import SeriesStatus

SeriesState = Annotated[
    str,
    choice(
        "SeriesStatus",
        SeriesStatus.values,
        "The state of a series. `ended`: its rule has no further occurrence.",
    ),
]


class ScheduledResponse(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Notifications were scheduled. Empty fields are left out."""

    notification_ids: list[int]
    """The integer ids of the notifications. Example: `[101, 102]`"""

    count: int
    """The number of notifications. Example: `2`"""

    scheduled_at: datetime
    """When the first of them is to be sent (RFC 3339)."""

    unknown: list[str] = []
    """The recipients who do not exist, as the request named them. Example: `["ext:p-8"]`"""

    missed: list[int] = []
    """The integer ids of users whose local time has passed. Example: `[43]`"""

    schedule_id: UUID | None = None
    """The id of the series, when the notification recurs."""


class ScheduleStatusResponse(msgspec.Struct, kw_only=True):
    """The progress of a scheduled notification."""

    id: int
    """The integer id of the notification. Example: `101`"""

    title: str
    """Its title. Example: `Lesson tomorrow`"""

    scheduled_at: DueAt

    scheduled_status: ScheduledState

    is_sent: bool
    """Whether it was sent on any channel."""

    sent_at: SentAt
    created_at: AcceptedAt


class CancelScheduledResponse(msgspec.Struct, kw_only=True):
    """A scheduled notification was cancelled."""

    success: bool
    """Always true."""

    message: str
    """The same as a sentence. Example: `Scheduled notification cancelled`"""

    id: int
    """The integer id of the notification. Example: `101`"""

    scheduled_status: ScheduledState


class SeriesResponse(msgspec.Struct, kw_only=True):
    """A notification that recurs."""

    id: UUID
    """The id of the series."""

    key: int
    """The integer id of the series, by which lists are ordered. Example: `5`"""

    title: str
    """The title of each occurrence. Example: `Weekly report`"""

    recurrence: str
    """The recurrence rule of RFC 5545. Example: `FREQ=WEEKLY;BYDAY=MO`"""

    timezone: str
    """The IANA time zone of the rule; empty when each user's own counts.
    Example: `Europe/Paris`"""

    local_time: str
    """The time of day on each recipient's clock (HH:MM); empty when the time is the same for all.
    Example: `"09:00"`"""

    misfire: MisfireName
    status: SeriesState

    recipients: int
    """The number of its recipients. Example: `120`"""

    next_at: datetime | None
    """The next occurrence without notifications, in the zone where it is first (RFC 3339)."""

    created_at: datetime
    """When the series was made (RFC 3339)."""

    ended_at: datetime | None
    """When it ended or was cancelled (RFC 3339), or null."""


class SeriesList(msgspec.Struct, kw_only=True):
    """A page of series, the oldest first."""

    results: list[SeriesResponse]
    """The series of this page."""

    next: NextPage
    previous: PreviousPage


class SeriesCancelResponse(msgspec.Struct, kw_only=True):
    """A series was cancelled."""

    id: UUID
    """The id of the series."""

    status: SeriesState

    cancelled: int
    """The number of notifications that were cancelled with it. Example: `3`"""
