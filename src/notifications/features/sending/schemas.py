"""Request and response schemas of sending, from which the OpenAPI document is made."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from notifications.features.experiments.schemas import ABTestPlaceResponse
from notifications.features.learning.schemas import LearningResponse
from notifications.infra.field_types import (
    AcceptedAt,
    CategoryKey,
    ChannelName,
    ContactStateName,
    Counts,
    DueAt,
    ErrorCode,
    ExpiresAt,
    ExplainedState,
    IsRead,
    JobId,
    JobKind,
    LastError,
    MessageState,
    NextPage,
    NotificationId,
    PreviousPage,
    PriorityNumber,
    TemplatePathOrNone,
    UserIdOrNone,
    VerdictName,
    WaitKind,
    Warnings,
    choice,
)
from notifications.models import ScheduledStatus

ScheduledState = Annotated[
    str,
    choice(
        "ScheduledStatus",
        ScheduledStatus.values,
        "The state of a scheduled notification. `failed`: no channel could deliver it. `withheld`:"
        " a preference, a limit or its expiry prevented it.",
    ),
]


class SendResponse(msgspec.Struct, kw_only=True):
    """A notification was accepted."""

    id: NotificationId
    status: MessageState

    message: str
    """The same as a sentence. Example: `Notification queued`"""

    estimated_delivery: datetime
    """When the notification is expected to be sent (RFC 3339)."""

    warnings: Warnings = []


class RejectionResponse(msgspec.Struct, kw_only=True):
    """An entry of a bulk call that was not accepted."""

    index: int
    """The place in the caller's list, from 0. Example: `3`"""

    code: ErrorCode

    detail: str
    """The reason as a sentence. Example: `there is no user ext:p-8`"""


class BulkResponse(msgspec.Struct, kw_only=True):
    """A bulk call was accepted."""

    job_id: JobId

    accepted: int
    """The number of accepted recipients. Example: `998`"""

    rejected: list[RejectionResponse]
    """The recipients that were not accepted."""

    warnings: Warnings = []


class JobResponse(msgspec.Struct, kw_only=True):
    """The progress of a job."""

    id: JobId

    kind: JobKind

    total: int
    """The number of recipients that the call named. Example: `1000`"""

    accepted: int
    """The number of accepted recipients. Example: `998`"""

    rejected: list[RejectionResponse]
    """The recipients that were not accepted."""

    progress: Counts

    done: bool
    """Whether no message waits any more."""

    created_at: AcceptedAt


class ChannelState(msgspec.Struct, kw_only=True):
    """The state of a notification on one channel."""

    channel: ChannelName
    status: MessageState
    last_error: LastError


class NotificationRow(msgspec.Struct, kw_only=True):
    """A notification in a list, without its text."""

    id: NotificationId
    user_id: UserIdOrNone
    status: MessageState

    type: str
    """The kind of the notification as its sender named it. Example: `payment`"""

    category: CategoryKey
    template_path: TemplatePathOrNone
    priority: PriorityNumber

    source: str
    """What it came from: an API key, users, a broadcast or a series. Example: `key:7`"""

    correlation_id: str | None
    """The `X-Request-ID` of the request that made it. Example: `f3a1c9`"""

    created_at: AcceptedAt
    scheduled_at: DueAt

    scheduled_status: ScheduledState | None
    """The state of a scheduled notification; null when it was not scheduled. Example: `pending`"""

    expires_at: ExpiresAt
    is_read: IsRead

    channels: list[ChannelState]
    """Its state on each channel."""


class NotificationList(msgspec.Struct, kw_only=True):
    """A page of notifications, the newest first. It may be short and still have a next page."""

    results: list[NotificationRow]
    """The notifications of this page."""

    next: NextPage = None
    previous: PreviousPage = None

    scanned_until: datetime | None = None
    """When the last row that this call examined was made (RFC 3339); null at the end."""


class MemberResponse(msgspec.Struct, kw_only=True):
    """One accepted recipient of a job."""

    notification_id: UUID
    """The id of the recipient's notification."""

    user_id: UserIdOrNone
    status: MessageState

    channels: list[ChannelState]
    """The state of the notification on each channel."""

    error: str | None
    """The last error of any of its messages, or null. Example: `mailbox full`"""


class MemberList(msgspec.Struct, kw_only=True):
    """A page of a job's accepted recipients, in the caller's order."""

    results: list[MemberResponse]
    """The recipients of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class JobCancelResponse(msgspec.Struct, kw_only=True):
    """What waited of a job was cancelled."""

    id: JobId

    cancelled: int
    """The number of notifications that this call cancelled. Example: `120`"""

    progress: Counts


class MoveBody(msgspec.Struct, kw_only=True):
    """The new time of a scheduled notification."""

    scheduled_at: datetime
    """When to send it instead (RFC 3339)."""


class MessageResponse(msgspec.Struct, kw_only=True):
    """One message of a notification: its delivery on one channel."""

    channel: ChannelName
    status: MessageState

    attempts: int
    """The number of calls to a provider so far. Example: `1`"""

    max_attempts: int
    """The number of calls after which it fails. Example: `5`"""

    scheduled_at: DueAt

    sent_at: datetime | None
    """When a provider accepted it (RFC 3339), or null."""

    delivered_at: datetime | None
    """When it was delivered (RFC 3339), or null."""

    provider: str | None
    """The key of the provider of the last attempt, or null. Example: `twilio`"""

    provider_message_id: str | None
    """The vendor's id of the message, or null. Example: `SM0123456789abcdef`"""

    last_error: LastError


class StatusResponse(msgspec.Struct, kw_only=True):
    """A notification and each of its messages."""

    id: NotificationId
    status: MessageState
    priority: PriorityNumber
    category: CategoryKey
    template_path: TemplatePathOrNone
    created_at: AcceptedAt
    scheduled_at: DueAt
    expires_at: ExpiresAt
    is_read: IsRead

    messages: list[MessageResponse]
    """Its messages, one for each channel."""


class StepResponse(msgspec.Struct, kw_only=True):
    """One question of a decision."""

    step: str
    """The name of the question. Example: `quiet_hours`"""

    outcome: str
    """`passed`, or the reason with which the decision ended here. Example: `passed`"""


class AttemptResponse(msgspec.Struct, kw_only=True):
    """One call to a provider."""

    number: int
    """The number of the attempt, from 1. Example: `1`"""

    provider: str
    """The key of the provider that was called. Example: `twilio`"""

    verdict: VerdictName

    error_code: str
    """The code of the fault; empty when there was none. Example: `timeout`"""

    at: datetime
    """When the call ended (RFC 3339)."""

    device_id: int | None = None
    """The id of the device, when the user has several; else null. Example: `9`"""


class DigestResponse(msgspec.Struct, kw_only=True):
    """The digest that a message was added to."""

    period: str
    """The period of the digest. Example: `daily:2030-05-01`"""

    closes_at: datetime
    """When the digest is sent (RFC 3339)."""

    id: UUID | None
    """The id of the digest's notification; null until it was sent."""


class ContactExplanation(msgspec.Struct, kw_only=True):
    """The address that nothing is sent to, as it is now."""

    state: ContactStateName

    state_reason: str
    """Why the contact point has this state. Example: `mailbox does not exist`"""

    suppressed_for: str
    """Why the address is on the suppression list; empty when it is not. Example: `complaint`"""


class DecisionResponse(msgspec.Struct, kw_only=True):
    """One decision or result, with its reason."""

    at: datetime
    """When it was made (RFC 3339)."""

    event: str
    """What was decided or happened: accepted, deferred, sent, failed and others.
    Example: `deferred`"""

    reason: str
    """The stable code of the reason; empty when it needs none. Example: `quiet_hours`"""


class BlockerResponse(msgspec.Struct, kw_only=True):
    """One thing that a waiting message waits for."""

    kind: WaitKind

    name: str
    """The kill switch as `scope:value`, the called service, or why it waits for its time.
    Example: `channel:email`"""

    reason: str = ""
    """The reason of the kill switch, or the code of the last fault. Example: `vendor incident`"""

    until: datetime | None = None
    """When the message is examined again (RFC 3339); null when that is not known."""


class MessageExplanation(msgspec.Struct, kw_only=True):
    """What was decided and done about one message."""

    channel: ChannelName
    status: ExplainedState

    decisions: list[DecisionResponse]
    """The decisions and results in order of time."""

    held_by: list[BlockerResponse] = []
    """What a waiting message waits for now."""

    steps: list[StepResponse] = []
    """The questions of the last decision, in order."""

    provider: str | None = None
    """The key of the provider of the last attempt, or null. Example: `smtp`"""

    attempts: list[AttemptResponse] = []
    """The calls to providers in order of time."""

    contact: ContactExplanation | None = None
    """The address, when its state is the reason that nothing was sent."""

    digest: DigestResponse | None = None
    """The digest that the message was added to, or null."""


class ExplainResponse(msgspec.Struct, kw_only=True):
    """Why a notification was or was not sent."""

    id: UUID
    """The id of the notification, or of the refused request."""

    status: ExplainedState

    messages: list[MessageExplanation]
    """What was decided and done, message by message."""

    ab_test: ABTestPlaceResponse | None = None
    """Its place in the A/B test of its template; null without a test."""

    learning: LearningResponse | None = None
    """Why it is due at its hour and goes to its first channel; null where nothing was learned."""


class CancelResponse(msgspec.Struct, kw_only=True):
    """What waited of a notification was cancelled."""

    id: NotificationId
    status: MessageState

    cancelled: list[ChannelName]
    """The channels whose messages were cancelled. Example: `["email"]`"""
