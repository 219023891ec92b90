"""Response schemas of the progress, the estimate and the report of a campaign."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from notifications.domain.broadcast_lifecycle import RecipientState
from notifications.domain.campaigns.variants import CampaignPart
from notifications.features.analytics.schemas import EngagementResponse
from notifications.features.broadcasts.dry_run_schemas import DryRun
from notifications.features.broadcasts.schemas import BroadcastState
from notifications.features.campaigns.learned.schemas import CampaignLearning
from notifications.features.campaigns.schemas import CampaignState, Number, Share
from notifications.features.campaigns.variants.schemas import CampaignABTestProgress
from notifications.infra.field_types import (
    ApprovalState,
    MessageState,
    NextPage,
    NotificationId,
    PreviousPage,
    UserId,
    choice,
)

MessageNumber = Annotated[int, Meta(description="The number of messages.", examples=[240])]
HELD_OUT = "held_out"
CampaignRecipientState = Annotated[
    str,
    choice(
        "CampaignRecipientStatus",
        (*RecipientState, HELD_OUT),
        "The state of one recipient. `held_out`: gets nothing, so that an effect is measured.",
    ),
]
CampaignPartName = Annotated[
    str,
    choice(
        "CampaignPart",
        CampaignPart,
        "The users of a group: those in the A/B test, the rest, or all where it is empty.",
    ),
]
ReasonCounts = Annotated[
    dict[str, int],
    Meta(description="The number of users by reason.", examples=[{"opted_out": 12}]),
]


class CampaignCounts(msgspec.Struct, kw_only=True):
    """Users by result. `recipients` is always the sum of the six counts after it."""

    recipients: Number
    sent: Number
    failed: Number
    pending: Number
    suppressed: Number
    uncertain: Number
    cancelled: Number


class CampaignGroupResponse(CampaignCounts, kw_only=True):
    """The users who get a campaign at one time; they are one broadcast."""

    broadcast_id: int
    """The integer id of the broadcast. Example: `12`"""

    status: BroadcastState
    part: CampaignPartName

    due_at: datetime | None
    """When it is due (RFC 3339); for a rest that waits, the deadline of the test."""


class CampaignProgressResponse(CampaignCounts, kw_only=True):
    """How far a campaign has come."""

    id: UUID
    """The id of the campaign."""

    status: CampaignState
    approval: ApprovalState
    held_out: Number

    progress_pct: int
    """Sent, failed and suppressed users as a share of all, in percent, rounded down.
    Example: `83`"""

    rate_per_second: float
    """The number of users that were done in a second lately. Example: `45.5`"""

    eta_seconds: int | None
    """The estimated time until what is due is sent, in seconds, or null. Example: `90`"""

    started_at: datetime | None
    """When it began (RFC 3339), or null."""

    completed_at: datetime | None
    """When it was completed or cancelled (RFC 3339), or null."""

    groups: list[CampaignGroupResponse]
    """Its broadcasts: one, or one for each time at which users in some time zones get it. With an
    A/B test, one of its users and one of the rest."""

    ab_test: CampaignABTestProgress | None
    """How far its A/B test has come; null without one, and before it began."""


class CampaignEstimateResponse(msgspec.Struct, kw_only=True):
    """What a campaign would do now. Nothing is sent."""

    audience: Number
    held_out: Number

    estimate: DryRun
    """What those would get who are not held out."""


class CampaignTestResponse(msgspec.Struct, kw_only=True):
    """A test of a campaign, which goes to the caller alone."""

    notification_id: NotificationId

    estimated_delivery: datetime
    """When it is expected to be sent (RFC 3339)."""


class CampaignRecipientResponse(msgspec.Struct, kw_only=True):
    """One recipient of a campaign. Of an erased user only the id is left."""

    user_id: UserId

    user_name: str
    """The user's name; empty for an erased user. Example: `Ada Lovelace`"""

    email: str
    """The user's email address; empty for none. Example: `ada@example.com`"""

    status: CampaignRecipientState

    channels: dict[str, MessageState]
    """The state of the message on each channel. Example: `{"email": "delivered"}`"""

    error_message: str | None
    """The last error, or why nothing was sent; null for neither. Example: `mailbox full`"""

    sent_at: datetime | None
    """When the first message was sent (RFC 3339), or null."""


class CampaignRecipientList(msgspec.Struct, kw_only=True):
    """A page of a campaign's recipients, by user id."""

    results: list[CampaignRecipientResponse]
    """The recipients of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class CampaignMessages(msgspec.Struct, kw_only=True):
    """Messages of a campaign. All rates are over the messages sent; people alone count in them."""

    sent: MessageNumber
    delivered: MessageNumber
    bounced: MessageNumber
    opened: MessageNumber
    clicked: MessageNumber
    converted: MessageNumber
    unsubscribed: MessageNumber
    complained: MessageNumber
    delivery_rate: Share
    open_rate: Share
    click_rate: Share
    conversion_rate: Share

    engagement: EngagementResponse
    """Opens and clicks by who it was."""


class CampaignEffect(msgspec.Struct, kw_only=True):
    """How many users reached a goal since the campaign began: its recipients, and its holdout.

    Each user counts once, whether or not they opened a message.
    """

    goal: str
    """The name of the goal. Example: `purchase`"""

    recipients: Number
    converted: Number
    held_out: Number
    held_out_converted: Number
    rate: Share
    held_out_rate: Share

    difference: float
    """`rate` less `held_out_rate`. Example: `0.03`"""

    low: float | None
    """The lower end of the 95 % interval of the difference; null where it is not defined.
    Example: `0.01`"""

    high: float | None
    """The upper end of that interval. Example: `0.05`"""


class CampaignReportResponse(msgspec.Struct, kw_only=True):
    """What became of a campaign."""

    id: UUID
    """The id of the campaign."""

    status: CampaignState
    users: CampaignCounts
    """Its users by result."""

    held_out: Number
    suppressed_reasons: ReasonCounts
    failed_reasons: ReasonCounts

    messages: CampaignMessages
    """Its messages, on all channels."""

    by_channel: dict[str, CampaignMessages]
    """The same by channel."""

    effects: list[CampaignEffect]
    """The goals that users reached in 30 days after it began; empty without a holdout."""

    learning: CampaignLearning | None
    """Whether learned hours and channels help; null where nothing is learned."""
