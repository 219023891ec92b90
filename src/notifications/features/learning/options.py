"""The fields by which a campaign or a step of a series asks for learned hours or channels."""

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
