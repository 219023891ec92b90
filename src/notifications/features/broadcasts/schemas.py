"""What the doors of broadcasts take and answer: the shapes of the source documents."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType


class BroadcastBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A broadcast. target_group is a rule of the audience language, target_filter what it takes;
    `all_students` and its like may be narrowed by a subject_id, tutor_id or teacher_id. It is a
    draft unless scheduled_at or send_immediately says otherwise. delivery: all channels, or first:
    in order until one takes it."""

    target_group: str
    message: str
    target_filter: dict[str, Any] | None = None
    title: str = ""
    channels: list[str] | None = None
    delivery: str = "all"
    category: str = "announcement"
    priority: int | str = 3
    scheduled_at: datetime | None = None
    send_immediately: bool = False


class BroadcastChangeBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is to be changed of a draft or scheduled broadcast; what is left out stays.
    scheduled_at: null makes it a draft again."""

    target_group: str | UnsetType = UNSET
    message: str | UnsetType = UNSET
    target_filter: dict[str, Any] | None = None
    title: str | UnsetType = UNSET
    channels: list[str] | UnsetType = UNSET
    delivery: str | UnsetType = UNSET
    category: str | UnsetType = UNSET
    priority: int | str | UnsetType = UNSET
    scheduled_at: datetime | None = None


MOST_CHOSEN = 1_000
_Id = Annotated[int, msgspec.Meta(ge=1, le=(1 << 63) - 1)]


class BroadcastRetryBody(msgspec.Struct, kw_only=True):
    """Which recipients are tried again: their user_ids, 1,000 at most."""

    user_ids: Annotated[list[_Id], msgspec.Meta(min_length=1, max_length=MOST_CHOSEN)]


class BroadcastRejectBody(msgspec.Struct, kw_only=True):
    """Why a broadcast is sent back to its author."""

    note: str


class BroadcastResponse(msgspec.Struct, kw_only=True):
    """A broadcast. recipient_count is the snapshot's; of one that was not launched, how many people
    its audience held when it was last written. At every instant it is the sum of the six counts."""

    id: int
    uuid: UUID
    created_by: int | None
    created_by_name: str
    target_group: str
    target_group_display: str
    target_filter: dict[str, Any]
    title: str
    message: str
    category: str
    priority: int
    channels: list[str]
    delivery: str
    status: str
    status_display: str
    recipient_count: int
    sent_count: int
    failed_count: int
    pending_count: int
    suppressed_count: int
    uncertain_count: int
    cancelled_count: int
    scheduled_at: datetime | None
    created_at: datetime
    sent_at: datetime | None
    completed_at: datetime | None
    approved_by: int | None
    review_note: str


class BroadcastRecipientResponse(msgspec.Struct, kw_only=True):
    """One recipient. status: pending, sent, failed, suppressed, uncertain or cancelled; channels
    says which status the message on each channel has. telegram_id is empty where none is known."""

    id: int
    user_id: int
    user_name: str
    email: str
    telegram_id: str
    telegram_sent: bool
    telegram_message_id: str | None
    status: str
    channels: dict[str, str]
    error_message: str | None
    sent_at: datetime | None


class BroadcastErrorResponse(msgspec.Struct, kw_only=True):
    """A recipient's failure, or, without a recipient, why a broadcast could not go on."""

    recipient_id: int | None
    error: str
    timestamp: str


class BroadcastDetail(BroadcastResponse, kw_only=True):
    """A broadcast with the first page of its recipients and its latest 100 errors; error_total
    counts them all."""

    recipients: list[BroadcastRecipientResponse]
    error_log: list[BroadcastErrorResponse]
    error_total: int


class BroadcastList(msgspec.Struct, kw_only=True):
    """A page, the newest first. next and previous are page numbers."""

    count: int
    next: int | None
    previous: int | None
    results: list[BroadcastResponse]
    page: int
    page_size: int
    total_pages: int


class BroadcastRecipientList(msgspec.Struct, kw_only=True):
    """A page of recipients by rising user id. next and previous are page numbers."""

    count: int
    next: int | None
    previous: int | None
    results: list[BroadcastRecipientResponse]
    page: int
    page_size: int
    total_pages: int


class BroadcastDone(msgspec.Struct, kw_only=True):
    """What was done, in words, and the broadcast as it then is.

    unknown_recipients: those of a list who are told nothing, because there is no such user or the
    user is not active; the first 100 of unknown_count.
    """

    success: bool
    data: BroadcastResponse
    message: str
    unknown_count: int = 0
    unknown_recipients: list[str] = []


class BroadcastDetailResponse(msgspec.Struct, kw_only=True):
    """One broadcast."""

    success: bool
    data: BroadcastDetail


class BroadcastProgress(msgspec.Struct, kw_only=True):
    """How far it has come. progress_pct: (sent + failed + suppressed) of all, rounded down.
    eta_seconds: null where nobody can tell."""

    id: int
    status: str
    total_recipients: int
    sent_count: int
    failed_count: int
    pending_count: int
    suppressed_count: int
    uncertain_count: int
    cancelled_count: int
    progress_pct: int
    error_summary: str
    created_at: datetime
    sent_at: datetime | None
    completed_at: datetime | None
    eta_seconds: int | None
    rate_per_second: float


class BroadcastProgressResponse(msgspec.Struct, kw_only=True):
    """How far a broadcast has come."""

    success: bool
    data: BroadcastProgress


class BroadcastCancelled(msgspec.Struct, kw_only=True):
    """A broadcast that was cancelled."""

    success: bool
    message: str
    broadcast_id: int
    cancelled_at: datetime


class BroadcastCancelResponse(msgspec.Struct, kw_only=True):
    """A broadcast was cancelled."""

    success: bool
    data: BroadcastCancelled


class BroadcastRetried(msgspec.Struct, kw_only=True):
    """How many failed recipients are tried again. task_id: null when nobody is."""

    success: bool
    message: str
    retried_count: int
    broadcast_id: int
    task_id: str | None


class BroadcastRetryResponse(msgspec.Struct, kw_only=True):
    """Failed recipients are tried again."""

    success: bool
    data: BroadcastRetried


class BroadcastRetriedChosen(BroadcastRetried, kw_only=True):
    """How many of those who were named are tried again, and who is not: unknown to this broadcast,
    not_failed, or used_up (failed, and tried again as often as is done)."""

    unknown: list[int]
    not_failed: list[int]
    used_up: list[int]


class BroadcastRetryChosenResponse(msgspec.Struct, kw_only=True):
    """Some failed recipients are tried again."""

    success: bool
    data: BroadcastRetriedChosen


class BroadcastTested(msgspec.Struct, kw_only=True):
    """A test was taken in for the caller alone. notification_id tells what becomes of it, at
    `/api/v1/notifications/{id}`; estimated_delivery knows their quiet hours and digests."""

    success: bool
    message: str
    broadcast_id: int
    notification_id: UUID
    estimated_delivery: datetime


class BroadcastTestResponse(msgspec.Struct, kw_only=True):
    """A test of a broadcast was sent."""

    success: bool
    data: BroadcastTested


class DryRunChannel(msgspec.Struct, kw_only=True):
    """What one channel would do. messages leave now or later; calls are to its providers, a push
    being one for each device. rate_per_second is what the providers take together at most."""

    channel: str
    providers: list[str]
    messages: int
    send_now: int
    delayed: int
    excluded: int
    exclusions: dict[str, int]
    delays: dict[str, int]
    calls: int
    rate_per_second: float | None
    estimated_cost: str


class DryRunCost(msgspec.Struct, kw_only=True):
    """By CARILLON_CHANNEL_PRICES; an SMS costs each of its segments. amount is a decimal number."""

    amount: str
    currency: str


class DryRunSample(msgspec.Struct, kw_only=True):
    """What one recipient would be told on one channel."""

    user_id: int
    user_name: str
    channel: str
    decision: str
    reason: str
    title: str
    body: str


class DryRun(msgspec.Struct, kw_only=True):
    """What a launch would lead to. recipients is exact. Every other count is of the people who were
    examined: all of them, and then exact, where complete is true; estimates are for everybody.

    send_now + delayed + excluded = examined. exclusions counts people whom no channel would reach,
    by the reason of the first; delays those who are told later (quiet hours, digests, stops), the
    last of them at delayed_until. unknown_recipients are those of a list who are told nothing: the
    first 100 of unknown_count.
    """

    recipients: int
    examined: int
    complete: bool
    send_now: int
    delayed: int
    excluded: int
    exclusions: dict[str, int]
    delays: dict[str, int]
    delayed_until: datetime | None
    channels: list[DryRunChannel]
    estimated_duration_seconds: int
    estimated_cost: DryRunCost
    needs_approval: bool
    unknown_count: int
    unknown_recipients: list[str]
    samples: list[DryRunSample]


class DryRunResponse(msgspec.Struct, kw_only=True):
    """A broadcast was tried without sending."""

    success: bool
    data: DryRun
