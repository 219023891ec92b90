"""Request and response schemas of broadcasts and their recipients."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from notifications.domain.broadcast_lifecycle import BroadcastStatus, RecipientState
from notifications.infra.field_types import (
    CategoryKey,
    MessageState,
    NextNumber,
    PersonChannelName,
    PreviousNumber,
    PriorityNumber,
    PriorityWord,
    UserId,
    choice,
)
from notifications.models import Broadcast
from notifications.models.sources.broadcast import BroadcastDelivery

BroadcastState = Annotated[
    str,
    choice(
        "BroadcastStatus",
        BroadcastStatus,
        "The state of a broadcast. `sent`: everything was sent, and receipts are outstanding."
        " `completed`: every result is final.",
    ),
]
TargetGroup = Annotated[
    str,
    choice(
        "TargetGroup",
        Broadcast.TargetGroup.values,
        "The rule of the audience; `target_filter` has its parameters.",
    ),
]
DeliveryMode = Annotated[
    str,
    choice(
        "BroadcastDelivery",
        BroadcastDelivery.values,
        "`all`: every channel. `first`: the channels in order, until one accepts the message.",
    ),
]
RecipientStateName = Annotated[
    str, choice("RecipientStatus", RecipientState, "The state of one recipient.")
]
BroadcastId = Annotated[int, Meta(description="The integer id of the broadcast.", examples=[12])]
TargetFilter = Annotated[
    dict[str, Any],
    Meta(description="The parameters of the audience's rule.", examples=[{"subject_id": 3}]),
]
PageNumber = Annotated[int, Meta(description="The number of this page, from 1.", examples=[2])]
PageSize = Annotated[int, Meta(description="The most rows of a page.", examples=[20])]
PageTotal = Annotated[int, Meta(description="The number of pages.", examples=[12])]
Succeeded = Annotated[bool, Meta(description="Always true.")]
RecipientCount = Annotated[
    int, Meta(description="The number of recipients in this state.", examples=[40])
]
TracksOpens = Annotated[
    bool | None,
    Meta(description="Whether opens of its emails are tracked; null: the service's setting."),
]
TracksClicks = Annotated[
    bool | None,
    Meta(description="Whether clicks in its emails are tracked; null: the service's setting."),
]
MOST_PER_MINUTE = 1_000_000
PerMinuteOrNone = Annotated[
    int | None,
    Meta(
        description="The most recipients a minute; null: as fast as providers allow.",
        examples=[6000],
    ),
]
UnknownCount = Annotated[
    int,
    Meta(
        description="The number of listed recipients that do not exist or are not active.",
        examples=[2],
    ),
]
UnknownRecipients = Annotated[
    list[str],
    Meta(
        description="The first 100 listed recipients that do not exist or are not active.",
        examples=[["ext:p-8"]],
    ),
]


class BroadcastBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A broadcast: a draft unless `scheduled_at` or `send_immediately` is given."""

    target_group: TargetGroup

    message: str
    """The text. Example: `The school is closed on Friday.`"""

    target_filter: TargetFilter | None = None
    """The parameters of the audience's rule. `all_students` and similar rules may be narrowed by
    `subject_id`, `tutor_id` or `teacher_id`. Example: `{"subject_id": 3}`"""

    title: str = ""
    """The title, up to 200 characters. Example: `School closed`"""

    channels: list[PersonChannelName] | None = None
    """The channels; left out, Telegram. Example: `["email", "in_app"]`"""

    delivery: DeliveryMode = "all"
    category: CategoryKey = "announcement"

    priority: PriorityNumber | PriorityWord = 3
    """How urgent it is, as a number or a word. Example: `normal`"""

    scheduled_at: datetime | None = None
    """When to send it (RFC 3339)."""

    send_immediately: bool = False
    """Whether to send it at once; not together with `scheduled_at`."""

    per_minute: PerMinuteOrNone = None
    track_opens: TracksOpens = None
    track_clicks: TracksClicks = None


class BroadcastChangeBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Changes of a draft or scheduled broadcast. A field that is left out stays as it is."""

    target_group: TargetGroup | UnsetType = UNSET
    """The rule of the audience; without `target_filter` its parameters are removed.
    Example: `all_students`"""

    message: str | UnsetType = UNSET
    """The text. Example: `The school is closed on Friday.`"""

    target_filter: TargetFilter | None = None
    """The parameters of the audience's rule; null removes them. Example: `{"subject_id": 3}`"""

    title: str | UnsetType = UNSET
    """The title, up to 200 characters. Example: `School closed`"""

    channels: list[PersonChannelName] | UnsetType = UNSET
    """The channels. Example: `["email", "in_app"]`"""

    delivery: DeliveryMode | UnsetType = UNSET
    """Which of the channels carry it. Example: `first`"""

    category: CategoryKey | UnsetType = UNSET
    """The key of its category. Example: `announcement`"""

    priority: PriorityNumber | PriorityWord | UnsetType = UNSET
    """How urgent it is, as a number or a word. Example: `high`"""

    scheduled_at: datetime | None = None
    """When to send it (RFC 3339); null makes it a draft again."""

    per_minute: PerMinuteOrNone = None
    track_opens: TracksOpens = None
    track_clicks: TracksClicks = None


MOST_CHOSEN = 1_000
_Id = Annotated[int, Meta(ge=1, le=(1 << 63) - 1)]


class BroadcastRetryBody(msgspec.Struct, kw_only=True):
    """The failed recipients to retry."""

    user_ids: Annotated[list[_Id], Meta(min_length=1, max_length=MOST_CHOSEN)]
    """The integer ids of 1 to 1,000 users. Example: `[42, 43]`"""


class BroadcastRejectBody(msgspec.Struct, kw_only=True):
    """Why a broadcast is returned to its author."""

    note: str
    """What the author should change. Example: `Please name the date.`"""


class BroadcastResponse(msgspec.Struct, kw_only=True):
    """A broadcast. Its recipient_count is always the sum of the six counts after it."""

    id: BroadcastId

    uuid: UUID
    """The UUID of the broadcast."""

    created_by: int | None
    """The integer id of the author; null for an API key or an erased user. Example: `1`"""

    created_by_name: str
    """The name of the author; empty for none. Example: `Grace Hopper`"""

    target_group: TargetGroup

    target_group_display: str
    """The rule of the audience in words. Example: `All students`"""

    target_filter: TargetFilter

    title: str
    """The title; empty for none. Example: `School closed`"""

    message: str
    """The text. Example: `The school is closed on Friday.`"""

    category: CategoryKey
    priority: PriorityNumber

    channels: list[PersonChannelName]
    """The channels. Example: `["email", "in_app"]`"""

    delivery: DeliveryMode
    per_minute: PerMinuteOrNone
    track_opens: TracksOpens
    track_clicks: TracksClicks
    status: BroadcastState

    status_display: str
    """The state in words. Example: `Sending`"""

    recipient_count: int
    """The number of recipients; before the launch, the size of the audience when the broadcast was
    last written. Example: `240`"""

    sent_count: RecipientCount
    failed_count: RecipientCount
    pending_count: RecipientCount
    suppressed_count: RecipientCount
    uncertain_count: RecipientCount
    cancelled_count: RecipientCount

    scheduled_at: datetime | None
    """When it is to be sent (RFC 3339), or null."""

    created_at: datetime
    """When it was made (RFC 3339)."""

    sent_at: datetime | None
    """When sending began (RFC 3339), or null."""

    completed_at: datetime | None
    """When every result was final (RFC 3339), or null."""

    approved_by: int | None
    """The integer id of the user who approved it, or null. Example: `2`"""

    review_note: str
    """What the reviewer wrote; empty for nothing. Example: `Please name the date.`"""


class BroadcastRecipientResponse(msgspec.Struct, kw_only=True):
    """One recipient of a broadcast. Of an erased user only the ids are left."""

    id: int
    """The integer id of the row. Example: `900`"""

    user_id: UserId

    user_name: str
    """The user's name; empty for an erased user. Example: `Ada Lovelace`"""

    email: str
    """The user's email address; empty for none. Example: `ada@example.com`"""

    telegram_id: str
    """The id of the user's Telegram chat; empty for none. Example: `"123456789"`"""

    telegram_sent: bool
    """Whether the message was sent by Telegram."""

    telegram_message_id: str | None
    """Telegram's id of the message, or null. Example: `"5012"`"""

    status: RecipientStateName

    channels: dict[str, MessageState]
    """The state of the message on each channel. Example: `{"email": "delivered"}`"""

    error_message: str | None
    """The last error, or null. Example: `mailbox full`"""

    sent_at: datetime | None
    """When the first message was sent (RFC 3339), or null."""


class BroadcastErrorResponse(msgspec.Struct, kw_only=True):
    """The failure of a recipient, or the reason why a broadcast stopped."""

    recipient_id: int | None
    """The integer id of the user; null when the whole broadcast stopped. Example: `42`"""

    error: str
    """The error as a sentence. Example: `mailbox full`"""

    timestamp: str
    """When it happened (RFC 3339). Example: `2030-05-01T09:30:00+00:00`"""


class BroadcastDetail(BroadcastResponse, kw_only=True):
    """A broadcast with its first recipients and its latest errors."""

    recipients: list[BroadcastRecipientResponse]
    """The first page of the recipients."""

    error_log: list[BroadcastErrorResponse]
    """The latest 100 errors."""

    error_total: int
    """The number of all errors. Example: `3`"""


class BroadcastList(msgspec.Struct, kw_only=True):
    """A page of broadcasts, the newest first."""

    count: int
    """The number of all matching broadcasts. Example: `240`"""

    next: NextNumber
    previous: PreviousNumber

    results: list[BroadcastResponse]
    """The broadcasts of this page."""

    page: PageNumber
    page_size: PageSize
    total_pages: PageTotal


class BroadcastRecipientList(msgspec.Struct, kw_only=True):
    """A page of a broadcast's recipients, by user id."""

    count: int
    """The number of all matching recipients. Example: `240`"""

    next: NextNumber
    previous: PreviousNumber

    results: list[BroadcastRecipientResponse]
    """The recipients of this page."""

    page: PageNumber
    page_size: PageSize
    total_pages: PageTotal
