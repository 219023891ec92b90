"""The fields of a campaign that say what is learned of each person."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from notifications.infra.field_types import choice

LEARNED = "learned"
SCHEDULED, GIVEN = "scheduled", "given"
MOST_WINDOW_HOURS = 72
SendTimeName = Annotated[
    str,
    choice(
        "SendTime",
        (SCHEDULED, LEARNED),
        "`learned`: within the window that begins at its time, each user gets it at the hour at"
        " which they engage most. `scheduled`: all get it at its time.",
    ),
]
SendWindowHours = Annotated[
    int,
    Meta(
        ge=2,
        le=MOST_WINDOW_HOURS,
        description="How many hours the window of `send_time` has, 2 to 72.",
        examples=[24],
    ),
]
SendAtNight = Annotated[
    bool,
    Meta(
        description="Whether `send_time` may choose an hour from 21:00 to 08:00, too.",
        examples=[False],
    ),
]
LearningHoldoutPercent = Annotated[
    float,
    Meta(
        ge=1,
        le=50,
        description="The share of users for whom nothing learned decides, 1 to 50 percent, to"
        " measure its effect. They get the campaign.",
        examples=[10.0],
    ),
]
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


class CampaignLearning(msgspec.Struct, kw_only=True):
    """What learning did to a campaign."""

    send_time: LearningEffect | None
    """The effect of learned hours; null where hours are not learned."""

    channel_choice: LearningEffect | None
    """The effect of learned channels; null where channels are not learned."""
