"""Response schemas of the actions on a broadcast: what was done, progress, retries and tests."""

from __future__ import annotations

from datetime import datetime

import msgspec

from notifications.features.broadcasts.schemas import (
    BroadcastDetail,
    BroadcastId,
    BroadcastResponse,
    BroadcastState,
    RecipientCount,
    Succeeded,
    UnknownCount,
    UnknownRecipients,
)
from notifications.infra.field_types import NotificationId


class BroadcastDone(msgspec.Struct, kw_only=True):
    """What was done, in words, and the broadcast after it."""

    success: Succeeded

    data: BroadcastResponse
    """The broadcast."""

    message: str
    """What was done, as a sentence. Example: `Broadcast created`"""

    unknown_count: UnknownCount = 0
    unknown_recipients: UnknownRecipients = []


class BroadcastDetailResponse(msgspec.Struct, kw_only=True):
    """One broadcast."""

    success: Succeeded

    data: BroadcastDetail
    """The broadcast with its first recipients and its latest errors."""


class BroadcastProgress(msgspec.Struct, kw_only=True):
    """The progress of a broadcast."""

    id: BroadcastId
    status: BroadcastState

    total_recipients: int
    """The number of recipients. Example: `240`"""

    sent_count: RecipientCount
    failed_count: RecipientCount
    pending_count: RecipientCount
    suppressed_count: RecipientCount
    uncertain_count: RecipientCount
    cancelled_count: RecipientCount

    progress_pct: int
    """Sent, failed and suppressed recipients as a share of all, in percent, rounded down.
    Example: `83`"""

    error_summary: str
    """The most frequent errors; empty for none. Example: `3 failed: mailbox full`"""

    created_at: datetime
    """When it was made (RFC 3339)."""

    sent_at: datetime | None
    """When sending began (RFC 3339), or null."""

    completed_at: datetime | None
    """When every result was final (RFC 3339), or null."""

    eta_seconds: int | None
    """The estimated time until it is sent, in seconds; null when it is not known. Example: `90`"""

    rate_per_second: float
    """The number of recipients that were done in a second lately. Example: `45.5`"""


class BroadcastProgressResponse(msgspec.Struct, kw_only=True):
    """The progress of a broadcast."""

    success: Succeeded

    data: BroadcastProgress
    """The progress."""


class BroadcastCancelled(msgspec.Struct, kw_only=True):
    """A cancelled broadcast."""

    success: Succeeded

    message: str
    """What was done, as a sentence. Example: `Broadcast cancelled`"""

    broadcast_id: BroadcastId

    cancelled_at: datetime
    """When it was cancelled (RFC 3339)."""


class BroadcastCancelResponse(msgspec.Struct, kw_only=True):
    """A broadcast was cancelled."""

    success: Succeeded

    data: BroadcastCancelled
    """The cancelled broadcast."""


class BroadcastRetried(msgspec.Struct, kw_only=True):
    """The recipients of a retry."""

    success: Succeeded

    message: str
    """What was done, as a sentence. Example: `Retrying 3 failed recipients`"""

    retried_count: int
    """The number of recipients that are retried. Example: `3`"""

    broadcast_id: BroadcastId

    task_id: str | None
    """The id of the job that retries them; null when there is none.
    Example: `0192f0c1-2f6e-7c3a-9d52-3a1b5c7d9e10`"""


class BroadcastRetryResponse(msgspec.Struct, kw_only=True):
    """Failed recipients are retried."""

    success: Succeeded

    data: BroadcastRetried
    """The recipients of the retry."""


class BroadcastRetriedChosen(BroadcastRetried, kw_only=True):
    """The recipients of a retry of chosen users, and those that are not retried."""

    unknown: list[int]
    """The user ids that are no recipients of this broadcast. Example: `[99]`"""

    not_failed: list[int]
    """The user ids of recipients that did not fail. Example: `[44]`"""

    used_up: list[int]
    """The user ids of recipients that failed and had all their retries. Example: `[45]`"""


class BroadcastRetryChosenResponse(msgspec.Struct, kw_only=True):
    """Some failed recipients are retried."""

    success: Succeeded

    data: BroadcastRetriedChosen
    """The recipients of the retry."""


class BroadcastTested(msgspec.Struct, kw_only=True):
    """A test that was accepted for the caller alone."""

    success: Succeeded

    message: str
    """What was done, as a sentence. Example: `Test sent`"""

    broadcast_id: BroadcastId
    notification_id: NotificationId

    estimated_delivery: datetime
    """When the caller's quiet hours and digest let it be sent (RFC 3339)."""


class BroadcastTestResponse(msgspec.Struct, kw_only=True):
    """A test of a broadcast was sent."""

    success: Succeeded

    data: BroadcastTested
    """The test."""
