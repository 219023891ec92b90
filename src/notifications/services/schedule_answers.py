"""What the schedule answers: the shapes of the source document."""

from __future__ import annotations

from datetime import datetime

import msgspec


class ScheduledAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Notifications that wait for their time. unknown: recipients who do not exist, as they were
    written; left out when all do."""

    notification_ids: list[int]
    count: int
    scheduled_at: datetime
    unknown: list[str] = []


class ScheduleStatusAnswer(msgspec.Struct, kw_only=True):
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


class CancelScheduledAnswer(msgspec.Struct, kw_only=True):
    """A scheduled notification was taken back."""

    success: bool
    message: str
    id: int
    scheduled_status: str
