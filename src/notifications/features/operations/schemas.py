"""Response bodies of operations: kill switches and dead letters."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec


class StopResponse(msgspec.Struct, kw_only=True):
    """A kill switch in force."""

    scope: str
    value: str
    reason: str
    actor: str
    created_at: datetime


class DeadLetterResponse(msgspec.Struct, kw_only=True):
    """A message that waits for a person's decision, or had one.

    notification_id is null once retention has removed the notification.
    """

    id: int
    notification_id: UUID | None
    channel: str
    provider: str
    category: str
    code: str
    last_error: str
    attempts: int
    failed_at: datetime
    resolution: str
    resolution_reason: str
    resolved_at: datetime | None
