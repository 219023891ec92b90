"""The responses of the services: public shapes, from which the OpenAPI document is made."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec


class SendResponse(msgspec.Struct, kw_only=True):
    """A notification was taken in."""

    id: UUID
    status: str
    message: str
    estimated_delivery: datetime
    warnings: list[str] = []


class RejectionResponse(msgspec.Struct, kw_only=True):
    """A recipient of a bulk call that was not taken in."""

    index: int
    code: str
    detail: str


class BulkResponse(msgspec.Struct, kw_only=True):
    """A bulk call was taken in."""

    job_id: UUID
    accepted: int
    rejected: list[RejectionResponse]
    warnings: list[str] = []


class JobResponse(msgspec.Struct, kw_only=True):
    """How far a job has come. progress counts messages by state."""

    id: UUID
    kind: str
    total: int
    accepted: int
    rejected: list[RejectionResponse]
    progress: dict[str, int]
    done: bool
    created_at: datetime


class ChannelState(msgspec.Struct, kw_only=True):
    """How a notification stands on one channel."""

    channel: str
    status: str
    last_error: str | None


class NotificationRow(msgspec.Struct, kw_only=True):
    """A notification in a list. user_id is null where it goes to an address; its text is not shown.

    status: that of its best message. scheduled_status is null where nobody scheduled it.
    """

    id: UUID
    user_id: int | None
    status: str
    type: str
    category: str
    template_path: str | None
    priority: int
    source: str
    correlation_id: str | None
    created_at: datetime
    scheduled_at: datetime
    scheduled_status: str | None
    expires_at: datetime | None
    is_read: bool
    channels: list[ChannelState]


class NotificationList(msgspec.Struct, kw_only=True):
    """A page of notifications, the newest first.

    scanned_until: when the last row was made that this call looked at; null at the end. A page may
    hold less than was asked for, or nothing, and still have a next one.
    """

    results: list[NotificationRow]
    next: str | None = None
    previous: str | None = None
    scanned_until: datetime | None = None


class MemberResponse(msgspec.Struct, kw_only=True):
    """One accepted recipient of a job. error: what was last said against a message of it."""

    notification_id: UUID
    user_id: int | None
    status: str
    channels: list[ChannelState]
    error: str | None


class MemberList(msgspec.Struct, kw_only=True):
    """A page of a job's accepted recipients, in the caller's order."""

    results: list[MemberResponse]
    next: str | None = None
    previous: str | None = None


class JobCancelResponse(msgspec.Struct, kw_only=True):
    """cancelled: notifications that were taken back now. progress counts messages by state."""

    id: UUID
    cancelled: int
    progress: dict[str, int]


class MoveBody(msgspec.Struct, kw_only=True):
    """When a scheduled notification is to be sent instead."""

    scheduled_at: datetime


class MessageResponse(msgspec.Struct, kw_only=True):
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


class StatusResponse(msgspec.Struct, kw_only=True):
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
    messages: list[MessageResponse]


class StepResponse(msgspec.Struct, kw_only=True):
    """One question of a decision. outcome: `passed`, or the reason with which it ended there."""

    step: str
    outcome: str


class AttemptResponse(msgspec.Struct, kw_only=True):
    """One call to a provider. device_id: the device it was for, where there are several."""

    number: int
    provider: str
    verdict: str
    error_code: str
    at: datetime
    device_id: int | None = None


class DigestResponse(msgspec.Struct, kw_only=True):
    """The digest that a message was folded into; id is null until it has gone out."""

    period: str
    closes_at: datetime
    id: UUID | None


class ContactExplanation(msgspec.Struct, kw_only=True):
    """The address that nothing is sent to, as it stands now. suppressed_for: why it is on the
    suppression list; empty where it is not."""

    state: str
    state_reason: str
    suppressed_for: str


class DecisionResponse(msgspec.Struct, kw_only=True):
    """What was decided or done, and why. event: accepted, deferred, sent, failed, and so on."""

    at: datetime
    event: str
    reason: str


class BlockerResponse(msgspec.Struct, kw_only=True):
    """One thing that a waiting message waits for.

    kind: kill_switch, breaker, pause (a provider asked for it), limit (the service's rate), order
    (an earlier message of its ordering key) or time. name: the stop as scope:value, the service, or
    why it waits for its time. reason: what was said of a stop, or the code of the last fault.
    until: when it is looked at again, where that is known.
    """

    kind: str
    name: str
    reason: str = ""
    until: datetime | None = None


class MessageExplanation(msgspec.Struct, kw_only=True):
    """What was decided and done about one message.

    decisions: in order of time. steps: the questions of the last decision. held_by: what a waiting
    message waits for at this moment. contact: where the address is why nothing was sent.
    """

    channel: str
    status: str
    decisions: list[DecisionResponse]
    held_by: list[BlockerResponse] = []
    steps: list[StepResponse] = []
    provider: str | None = None
    attempts: list[AttemptResponse] = []
    contact: ContactExplanation | None = None
    digest: DigestResponse | None = None


class ExplainResponse(msgspec.Struct, kw_only=True):
    """Why a notification was or was not sent."""

    id: UUID
    status: str
    messages: list[MessageExplanation]


class CancelResponse(msgspec.Struct, kw_only=True):
    """What was taken back, by channel."""

    id: UUID
    status: str
    cancelled: list[str]
