"""How responses show what was learned for a notification."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from notifications.domain.learning.choice import LearningPlace
from notifications.infra.field_types import ChannelName, choice

LearningPlaceName = Annotated[
    str,
    choice(
        "LearningPlace",
        LearningPlace,
        "Why it was sent then, or there. `learned`: the counts decided. `holdout`: they did not, so"
        " that their effect can be measured. `start`: too little is known of the person.",
    ),
]
Rate = Annotated[float, Meta(description="A rate, from 0 to 1.", examples=[0.21])]
Messages = Annotated[int, Meta(description="A number of messages.", examples=[14])]


class LearnedEvidence(msgspec.Struct, kw_only=True):
    """What was known when it was chosen."""

    handed_over: Messages
    """Messages that the person was handed over in this hour of the week, or on this channel."""

    engaged: Messages
    """Those of them that the person engaged with."""

    prior: Rate
    """The rate of all people there, with which the mean begins."""

    mean: Rate
    """The mean of the posterior, after the person's own messages."""


class LearnedTimeResponse(msgspec.Struct, kw_only=True):
    """Why a notification is due at its hour."""

    place: LearningPlaceName

    due_at: datetime | None
    """When it was due (RFC 3339), before quiet hours and limits."""

    hour: str
    """The hour of the week on the person's clock. Example: `Tuesday 09:00`"""

    evidence: LearnedEvidence
    """What was known of the person in this hour."""

    first_hour: str
    """The first hour of the window. Example: `Monday 18:00`"""

    first_mean: Rate
    """The mean of that hour."""

    known: Messages
    """Messages that the person was handed over on the channel, in all hours."""


class LearnedChannel(LearnedEvidence, kw_only=True):
    """What was known of one channel."""

    channel: ChannelName


class LearnedChannelsResponse(msgspec.Struct, kw_only=True):
    """Why a notification goes to its first channel."""

    place: LearningPlaceName

    order: list[LearnedChannel]
    """The channels in the order in which they are tried; preferences are read on each."""


class LearningResponse(msgspec.Struct, kw_only=True):
    """What was learned for a notification."""

    send_time: LearnedTimeResponse | None
    """Why it is due at its hour; null where that was not learned."""

    channels: LearnedChannelsResponse | None
    """Why it goes to its first channel; null where that was not learned."""

    explanation: str
    """The same in words. Example: `Sent on Tuesday 09:00: 5 of 14 messages were engaged with.`"""


LearningVerdict = Annotated[
    str,
    choice(
        "LearningVerdict",
        ("open", "cancelled", "helps", "harms", "unclear", "mismatch"),
        "Whether learning helps. `open`: the campaign is still sent. `cancelled`: not all had their"
        " time. `unclear`: the difference may be chance. `mismatch`: the groups do not have the"
        " sizes that they should have.",
    ),
]


class LearningArm(msgspec.Struct, kw_only=True):
    """Users of one group, once their message was handed over."""

    users: int
    """The number of users. Example: `900`"""

    engaged: int
    """Those who engaged within three days. Example: `120`"""

    rate: float
    """`engaged` as a share of `users`. Example: `0.133`"""


class LearningEffect(msgspec.Struct, kw_only=True):
    """Learned users against the holdout. Users of whom too little is known are in neither."""

    learned: LearningArm
    """Users for whom the counts decided."""

    holdout: LearningArm
    """Users for whom they did not."""

    start: LearningArm
    """Users of whom too little is known."""

    verdict: LearningVerdict

    lift: float | None
    """By what share the rate of the learned is higher; null where no one engaged. Example: `0.2`"""

    lift_low: float | None
    """The lower end of its interval, which is valid at any look; null where it has none.
    Example: `0.05`"""

    lift_high: float | None
    """The upper end of that interval; null where it has none. Example: `0.4`"""

    p_value: float
    """The chance of such a difference where learning does nothing; valid at any look.
    Example: `0.03`"""

    explanation: str
    """The same in words. Example: `The difference may be chance.`"""
