"""What the services answer: the public shapes, from which the OpenAPI document is made."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec


class SendAnswer(msgspec.Struct, kw_only=True):
    """A notification was taken in."""

    id: UUID
    status: str
    message: str
    estimated_delivery: datetime
    warnings: list[str] = []


class RejectionAnswer(msgspec.Struct, kw_only=True):
    """A recipient of a bulk call that was not taken in."""

    index: int
    code: str
    detail: str


class BulkAnswer(msgspec.Struct, kw_only=True):
    """A bulk call was taken in."""

    job_id: UUID
    accepted: int
    rejected: list[RejectionAnswer]
    warnings: list[str] = []


class JobAnswer(msgspec.Struct, kw_only=True):
    """How far a job has come. progress counts messages by state."""

    id: UUID
    kind: str
    total: int
    accepted: int
    rejected: list[RejectionAnswer]
    progress: dict[str, int]
    done: bool
    created_at: datetime


class MessageAnswer(msgspec.Struct, kw_only=True):
    """One channel of a notification."""

    channel: str
    status: str
    attempts: int
    max_attempts: int
    scheduled_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    provider: str | None
    provider_message_id: str | None
    last_error: str | None


class StatusAnswer(msgspec.Struct, kw_only=True):
    """A notification and each of its messages."""

    id: UUID
    status: str
    priority: int
    category: str
    template_path: str | None
    created_at: datetime
    scheduled_at: datetime
    expires_at: datetime | None
    is_read: bool
    messages: list[MessageAnswer]


class StepAnswer(msgspec.Struct, kw_only=True):
    """One question of a decision. outcome: `passed`, or the reason with which it ended there."""

    step: str
    outcome: str


class AttemptAnswer(msgspec.Struct, kw_only=True):
    """One call to a provider. device_id: the device it was for, where there are several."""

    number: int
    provider: str
    verdict: str
    error_code: str
    at: datetime
    device_id: int | None = None


class DigestAnswer(msgspec.Struct, kw_only=True):
    """The digest that a message was folded into; id is null until it has gone out."""

    period: str
    closes_at: datetime
    id: UUID | None


class ContactStory(msgspec.Struct, kw_only=True):
    """The address that nothing is sent to, as it stands now. suppressed_for: why it is on the
    suppression list; empty where it is not."""

    state: str
    state_reason: str
    suppressed_for: str


class MessageStory(msgspec.Struct, kw_only=True):
    """What was decided and done about one message.

    decisions: {at (Unix ms), event, reason}, in order. steps: the questions of the last decision.
    contact: where the address is why nothing was sent.
    """

    channel: str
    status: str
    decisions: list[dict[str, Any]]
    steps: list[StepAnswer] = []
    provider: str | None = None
    attempts: list[AttemptAnswer] = []
    contact: ContactStory | None = None
    digest: DigestAnswer | None = None


class ExplainAnswer(msgspec.Struct, kw_only=True):
    """Why a notification was or was not sent."""

    id: UUID
    status: str
    messages: list[MessageStory]


class CancelAnswer(msgspec.Struct, kw_only=True):
    """What was taken back, by channel."""

    id: UUID
    status: str
    cancelled: list[str]


class StopAnswer(msgspec.Struct, kw_only=True):
    """A kill switch in force."""

    scope: str
    value: str
    reason: str
    actor: str
    created_at: datetime


class DeadLetterAnswer(msgspec.Struct, kw_only=True):
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
