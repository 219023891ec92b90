"""What the schedule answers: the shapes of the source document."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec


class ScheduledResponse(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Notifications that wait for their time; scheduled_at is the first of their times.

    Left out where there is nothing to say: unknown, recipients who do not exist, as they were
    written; missed, ids of people whose local time had passed; schedule_id, of what recurs.
    """

    notification_ids: list[int]
    count: int
    scheduled_at: datetime
    unknown: list[str] = []
    missed: list[int] = []
    schedule_id: UUID | None = None


class ScheduleStatusResponse(msgspec.Struct, kw_only=True):
    """How far a scheduled notification has come.

    scheduled_status: pending, sent, cancelled, failed (no channel took it) or withheld (by the
    person's wishes, a limit, or because its time had run out).
    """

    id: int
    title: str
    scheduled_at: datetime
    scheduled_status: str
    is_sent: bool
    sent_at: datetime | None
    created_at: datetime


class CancelScheduledResponse(msgspec.Struct, kw_only=True):
    """A scheduled notification was taken back."""

    success: bool
    message: str
    id: int
    scheduled_status: str


class SeriesResponse(msgspec.Struct, kw_only=True):
    """Something that recurs. timezone is empty where each person's own counts; next_at is the next
    occurrence that has no notifications yet, in the zone where it comes first."""

    id: UUID
    key: int
    title: str
    recurrence: str
    timezone: str
    local_time: str
    misfire: str
    status: str
    recipients: int
    next_at: datetime | None
    created_at: datetime
    ended_at: datetime | None


class SeriesList(msgspec.Struct, kw_only=True):
    """A page of series."""

    results: list[SeriesResponse]
    next: str | None
    previous: str | None


class SeriesCancelResponse(msgspec.Struct, kw_only=True):
    """A series was ended; cancelled counts the notifications that were taken back."""

    id: UUID
    status: str
    cancelled: int
