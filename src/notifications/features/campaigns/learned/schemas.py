"""The fields of a campaign that say what is learned of each person."""

from __future__ import annotations

from typing import Annotated

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
ChannelChoiceName = Annotated[
    str,
    choice(
        "ChannelChoice",
        (GIVEN, LEARNED),
        "`learned`: the channel on which a user engages most is tried first; it needs `delivery`"
        " `first`. `given`: the channels are tried in their order.",
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
