"""Response schemas of the dry run of a broadcast."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from notifications.features.broadcasts.schemas import (
    Succeeded,
    UnknownCount,
    UnknownRecipients,
)
from notifications.infra.field_types import ChannelName, DecisionName, UserId

Exclusions = Annotated[
    dict[str, int],
    Meta(
        description="The number of users that are not sent to, by the code of the reason.",
        examples=[{"channel_disabled": 4}],
    ),
]
Delays = Annotated[
    dict[str, int],
    Meta(
        description="The number of users that are sent to later, by the code of the reason.",
        examples=[{"quiet_hours": 12}],
    ),
]
SendNow = Annotated[
    int, Meta(description="The number of users that are sent to at once.", examples=[220])
]
Delayed = Annotated[
    int, Meta(description="The number of users that are sent to later.", examples=[12])
]
Excluded = Annotated[
    int, Meta(description="The number of users that are not sent to.", examples=[8])
]


class DryRunChannel(msgspec.Struct, kw_only=True):
    """What one channel would do."""

    channel: ChannelName

    providers: list[str]
    """The keys of the providers that would be called. Example: `["smtp"]`"""

    messages: int
    """The number of messages, at once or later. Example: `232`"""

    send_now: SendNow
    delayed: Delayed
    excluded: Excluded
    exclusions: Exclusions
    delays: Delays

    calls: int
    """The number of calls to providers; a push is one call for each device. Example: `310`"""

    rate_per_second: float | None
    """The most calls that the providers accept in a second; null without a call. Example: `14.0`"""

    estimated_cost: str
    """The cost of the channel as a decimal number. Example: `"17.40"`"""


class DryRunCost(msgspec.Struct, kw_only=True):
    """The cost by `CARILLON_CHANNEL_PRICES`; an SMS costs each of its segments."""

    amount: str
    """The amount as a decimal number. Example: `"17.40"`"""

    currency: str
    """The currency of the prices. Example: `EUR`"""


class DryRunSample(msgspec.Struct, kw_only=True):
    """The message that one recipient would get on one channel."""

    user_id: UserId

    user_name: str
    """The user's name. Example: `Ada Lovelace`"""

    channel: ChannelName
    decision: DecisionName

    reason: str
    """The stable code of the decision's reason. Example: `allowed`"""

    title: str
    """The title; empty for none. Example: `School closed`"""

    body: str
    """The text; empty when nothing would be sent. Example: `The school is closed on Friday.`"""


class DryRun(msgspec.Struct, kw_only=True):
    """What a launch would lead to.

    `recipients` is exact. Other counts are of the examined users, and add up: send_now + delayed +
    excluded = examined. Estimates are for all recipients.
    """

    recipients: int
    """The number of recipients. Example: `240`"""

    examined: int
    """The number of recipients that were examined. Example: `240`"""

    complete: bool
    """Whether all recipients were examined; then every count is exact."""

    send_now: SendNow
    delayed: Delayed
    excluded: Excluded
    exclusions: Exclusions
    delays: Delays

    delayed_until: datetime | None
    """When the last delayed user is sent to (RFC 3339), or null."""

    channels: list[DryRunChannel]
    """What each channel would do."""

    estimated_duration_seconds: int
    """The time until the slowest provider had its last call, in seconds. Example: `23`"""

    estimated_cost: DryRunCost
    """The cost of all channels."""

    needs_approval: bool
    """Whether a second person must approve the broadcast."""

    unknown_count: UnknownCount
    unknown_recipients: UnknownRecipients

    samples: list[DryRunSample]
    """What some recipients would get."""


class DryRunResponse(msgspec.Struct, kw_only=True):
    """The result of a dry run; nothing was sent."""

    success: Succeeded

    data: DryRun
    """The result."""
