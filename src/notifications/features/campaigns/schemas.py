"""Request and response schemas of campaigns."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from notifications.domain.campaigns.lifecycle import CampaignStatus
from notifications.domain.campaigns.timing import LateZones
from notifications.features.broadcasts.schemas import DeliveryMode
from notifications.features.campaigns.variants.schemas import CampaignABTestBody
from notifications.features.learning.options import (
    LearningHoldoutPercent,
    SendAtNight,
    SendTimeName,
    SendWindowHours,
)
from notifications.infra.field_types import (
    ApprovalState,
    CategoryKey,
    ChannelChoiceName,
    NextPage,
    PersonChannelName,
    PreviousPage,
    PriorityNumber,
    TemplatePath,
    UserIdOrNone,
    choice,
)

MOST_EXCLUDED = 20
CampaignState = Annotated[
    str,
    choice(
        "CampaignStatus",
        CampaignStatus,
        "The state of a campaign. `completed`: every message was handed over.",
    ),
]
LateZonesName = Annotated[
    str,
    choice(
        "LateZones",
        LateZones,
        "What happens in a time zone in which the local time is past when the campaign begins.",
    ),
]
CampaignName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        description="The name for operators, 1 to 100 characters.",
        examples=["May newsletter"],
    ),
]
CampaignAbout = Annotated[
    str,
    Meta(
        max_length=1000,
        description="What it is for, up to 1,000 characters.",
        examples=["Brings back people who were away"],
    ),
]
CampaignAudience = Annotated[
    dict[str, Any],
    Meta(
        description="Who gets it, in the language of audiences.",
        examples=[{"rule": "segment", "segment_id": 4}],
    ),
]
Excluded = Annotated[
    list[int | UUID],
    Meta(
        max_length=MOST_EXCLUDED,
        description="Saved segments by id or key; the users in them get nothing.",
        examples=[[7]],
    ),
]
Context = Annotated[
    dict[str, Any],
    Meta(description="The values of the template for all users.", examples=[{"month": "May"}]),
]
CampaignChannels = Annotated[
    list[PersonChannelName],
    Meta(min_length=1, max_length=8, description="The channels, in order.", examples=[["email"]]),
]
PerMinute = Annotated[
    int,
    Meta(
        ge=1,
        le=1_000_000,
        description="The most users a minute of the whole campaign.",
        examples=[6000],
    ),
]
HoldoutPercent = Annotated[
    float,
    Meta(
        ge=0,
        le=90,
        description="The share of users who get nothing, 0 to 90 percent, to measure an effect.",
        examples=[5.0],
    ),
]
UtmValue = Annotated[str, Meta(min_length=1, max_length=100)]
UtmParameters = Annotated[
    dict[str, UtmValue],
    Meta(
        max_length=5,
        description="Parameters for the links of its emails: `utm_source`, `utm_medium`,"
        " `utm_campaign`, `utm_term` and `utm_content`.",
        examples=[{"utm_source": "newsletter", "utm_campaign": "may"}],
    ),
]
BeginsAt = Annotated[
    datetime,
    Meta(
        description="When to send it (RFC 3339). Without an offset, it is the local time of each"
        " user; it needs `per_timezone`."
    ),
]
PerZone = Annotated[
    bool, Meta(description="Whether each user gets it at that local time in their time zone.")
]
TracksOpens = Annotated[
    bool,
    Meta(
        description="Whether opens of its emails are tracked; left out, the service's setting"
        " decides."
    ),
]
TracksClicks = Annotated[
    bool,
    Meta(
        description="Whether clicks in its emails are tracked; left out, the service's setting"
        " decides."
    ),
]
NeedsApproval = Annotated[
    bool, Meta(description="Whether a second person must approve it, whatever its size.")
]
Number = Annotated[int, Meta(description="The number of users.", examples=[240])]
Share = Annotated[float, Meta(description="A share, from 0 to 1.", examples=[0.12])]


class CampaignBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A campaign to write. It is a draft."""

    name: CampaignName
    audience: CampaignAudience
    template_path: TemplatePath
    channels: CampaignChannels
    description: CampaignAbout = ""
    exclude: Excluded = []
    context: Context = {}

    category: CategoryKey | None = None
    """The key of its category; left out, that of the template. Example: `marketing`"""

    delivery: DeliveryMode = "all"
    priority: PriorityNumber = 3

    scheduled_at: BeginsAt | None = None
    """When `schedule` sends it. Example: `2030-05-01T09:00:00Z`"""

    per_timezone: PerZone = False
    late_zones: LateZonesName = "send_now"

    per_minute: PerMinute | None = None
    """The most users a minute; left out, as fast as providers allow. Example: `6000`"""

    holdout_percent: HoldoutPercent = 0.0
    send_time: SendTimeName = "scheduled"
    send_window_hours: SendWindowHours = 24
    send_at_night: SendAtNight = False
    channel_choice: ChannelChoiceName = "given"
    learning_holdout_percent: LearningHoldoutPercent = 10.0

    ab_test: CampaignABTestBody | None = None
    """A test on a part of the users; the others get the winner. Not with `per_timezone`."""

    track_opens: TracksOpens | None = None
    """Whether opens are tracked. Example: `true`"""

    track_clicks: TracksClicks | None = None
    """Whether clicks are tracked. Example: `true`"""

    utm: UtmParameters = {}
    needs_approval: NeedsApproval = False


class CampaignChangeBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Changes of a draft or scheduled campaign. A field that is left out stays as it is."""

    name: CampaignName | UnsetType = UNSET
    """The name for operators. Example: `May newsletter`"""

    audience: CampaignAudience | UnsetType = UNSET
    """Who gets it. Example: `{"rule": "segment", "segment_id": 4}`"""

    template_path: TemplatePath | UnsetType = UNSET
    """The path of its template. Example: `marketing.may`"""

    channels: CampaignChannels | UnsetType = UNSET
    """The channels, in order. Example: `["email"]`"""

    description: CampaignAbout | UnsetType = UNSET
    """What it is for. Example: `Brings back people who were away`"""

    exclude: Excluded | UnsetType = UNSET
    """Saved segments whose users get nothing. Example: `[7]`"""

    context: Context | UnsetType = UNSET
    """The values of the template. Example: `{"month": "May"}`"""

    category: CategoryKey | UnsetType | None = UNSET
    """The key of its category; null for that of the template. Example: `marketing`"""

    delivery: DeliveryMode | UnsetType = UNSET
    """Which of the channels carry it. Example: `first`"""

    priority: PriorityNumber | UnsetType = UNSET
    """How urgent it is. Example: `4`"""

    scheduled_at: BeginsAt | UnsetType | None = UNSET
    """When it is sent; null makes a scheduled campaign a draft. Example: `2030-05-01T09:00:00Z`"""

    per_timezone: PerZone | UnsetType = UNSET
    """Whether that is a local time; give `scheduled_at`, too. Example: `true`"""

    late_zones: LateZonesName | UnsetType = UNSET
    """What happens where the time is past. Example: `next_day`"""

    per_minute: PerMinute | UnsetType | None = UNSET
    """The most users a minute; null for no limit. Example: `6000`"""

    holdout_percent: HoldoutPercent | UnsetType = UNSET
    """The share of users who get nothing. Example: `5.0`"""

    send_time: SendTimeName | UnsetType = UNSET
    """Whether its hour is learned of each user. Example: `learned`"""

    send_window_hours: SendWindowHours | UnsetType = UNSET
    """The hours of that window. Example: `24`"""

    send_at_night: SendAtNight | UnsetType = UNSET

    channel_choice: ChannelChoiceName | UnsetType = UNSET
    """Whether the first channel is learned of each user. Example: `learned`"""

    learning_holdout_percent: LearningHoldoutPercent | UnsetType = UNSET
    """The share of users for whom nothing learned decides. Example: `10.0`"""

    ab_test: CampaignABTestBody | UnsetType | None = UNSET
    """A test on a part of the users, in place of another; null for none."""

    track_opens: TracksOpens | UnsetType | None = UNSET
    """Whether opens are tracked. Example: `true`"""

    track_clicks: TracksClicks | UnsetType | None = UNSET
    """Whether clicks are tracked. Example: `true`"""

    utm: UtmParameters | UnsetType = UNSET
    """Parameters for the links of its emails. Example: `{"utm_source": "newsletter"}`"""

    needs_approval: NeedsApproval | UnsetType = UNSET
    """Whether a second person must approve it. Example: `true`"""


class CampaignScheduleBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """When to send a draft. A field that is left out stays as it is."""

    scheduled_at: BeginsAt | UnsetType = UNSET
    """When it is sent. Example: `2030-05-01T09:00:00Z`"""

    per_timezone: PerZone | UnsetType = UNSET
    """Whether that is a local time; give `scheduled_at`, too. Example: `true`"""

    late_zones: LateZonesName | UnsetType = UNSET
    """What happens where the time is past. Example: `next_day`"""


class CampaignRejectBody(msgspec.Struct, kw_only=True):
    """Why a campaign is returned to its author."""

    note: Annotated[str, Meta(min_length=1, max_length=1000)]
    """What the author should change. Example: `Please name the date.`"""


class CampaignResponse(msgspec.Struct, kw_only=True):
    """A campaign."""

    id: UUID
    """The id of the campaign."""

    key: int
    """The integer id of the campaign, by which lists are ordered. Example: `4`"""

    name: CampaignName
    description: CampaignAbout
    status: CampaignState
    approval: ApprovalState
    needs_approval: NeedsApproval
    audience: CampaignAudience

    exclude: list[UUID]
    """The ids of the saved segments whose users get nothing."""

    template_path: TemplatePath
    context: Context

    category: str
    """The key of its category; empty for that of the template. Example: `marketing`"""

    channels: CampaignChannels
    delivery: DeliveryMode
    priority: PriorityNumber

    scheduled_at: datetime | None
    """When it is sent (RFC 3339), or null: at a local time, or not scheduled."""

    local_time: str
    """The local time at which each user gets it; empty for none. Example: `2030-05-01T09:00:00`"""

    late_zones: LateZonesName

    begins_at: datetime | None
    """When a scheduled campaign begins (RFC 3339): in its first time zone."""

    per_minute: int | None
    """The most users a minute, or null. Example: `6000`"""

    holdout_percent: HoldoutPercent
    send_time: SendTimeName
    send_window_hours: SendWindowHours
    send_at_night: SendAtNight
    channel_choice: ChannelChoiceName
    learning_holdout_percent: LearningHoldoutPercent

    ab_test: CampaignABTestBody | None
    """Its test on a part of the users; null for none."""

    rest_released_at: datetime | None
    """When the users who are not in the test were released (RFC 3339), or null."""

    track_opens: bool | None
    """Whether opens are tracked; null: the service's setting decides."""

    track_clicks: bool | None
    """Whether clicks are tracked; null: the service's setting decides."""

    utm: UtmParameters
    created_by: UserIdOrNone
    approved_by: UserIdOrNone

    review_note: str
    """What the reviewer wrote; empty for nothing. Example: `Please name the date.`"""

    estimated_recipients: Number
    """The size of the audience when the campaign was last written or began. Example: `240`"""

    error: str
    """Why it is a draft again, or paused; empty for no error. Example: `no recipients`"""

    created_at: datetime
    """When it was written (RFC 3339)."""

    updated_at: datetime
    """When it last changed (RFC 3339)."""

    started_at: datetime | None
    """When it began (RFC 3339), or null."""

    completed_at: datetime | None
    """When it was completed or cancelled (RFC 3339), or null."""


class CampaignList(msgspec.Struct, kw_only=True):
    """A page of campaigns, the oldest first."""

    results: list[CampaignResponse]
    """The campaigns of this page."""

    next: NextPage = None
    previous: PreviousPage = None
