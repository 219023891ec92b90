"""Request and response schemas of series."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from notifications.domain.series.lifecycle import (
    MailSeriesStatus,
    SeriesTrigger,
)
from notifications.domain.series.steps import (
    MOST_DAYS,
    MOST_MINUTES,
    MOST_STEPS,
    MOST_WINDOW_HOURS,
)
from notifications.features.learning.options import (
    SCHEDULED,
    LearningHoldoutPercent,
    SendAtNight,
    SendTimeName,
)
from notifications.infra.field_types import (
    ApprovalState,
    CategoryKey,
    NextPage,
    PreviousPage,
    TemplatePath,
    UserIdOrNone,
    choice,
)

MailSeriesState = Annotated[
    str,
    choice(
        "MailSeriesStatus",
        MailSeriesStatus,
        "The state of a series. `paused`: users still enter it, and no mail is sent.",
    ),
]
TriggerName = Annotated[
    str,
    choice(
        "SeriesTrigger",
        SeriesTrigger,
        "What makes a user enter: being on a mailing list, an event, or a date of theirs.",
    ),
]
SeriesName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        description="The name for operators, 1 to 100 characters.",
        examples=["Welcome"],
    ),
]
SeriesAbout = Annotated[
    str,
    Meta(
        max_length=1000,
        description="What it is for, up to 1,000 characters.",
        examples=["Shows new readers around"],
    ),
]
SeriesContext = Annotated[
    dict[str, Any],
    Meta(description="The values of the templates for all users.", examples=[{"shop": "Books"}]),
]
GoalName = Annotated[
    str,
    Meta(
        max_length=100,
        description="The name of a goal. A user who converts on it leaves the series.",
        examples=["first order"],
    ),
]
SeriesHoldout = Annotated[
    float,
    Meta(
        ge=0,
        le=90,
        description="The share of users who get nothing, 0 to 90 percent, to measure an effect.",
        examples=[5.0],
    ),
]
ReentryDays = Annotated[
    int,
    Meta(
        ge=1,
        le=3_650,
        description="After how many days a user may enter again, 1 to 3,650.",
        examples=[365],
    ),
]
TracksSeriesOpens = Annotated[
    bool, Meta(description="Whether opens are tracked; left out, the service's setting decides.")
]
TracksSeriesClicks = Annotated[
    bool, Meta(description="Whether clicks are tracked; left out, the service's setting decides.")
]
NeedsSeriesApproval = Annotated[bool, Meta(description="Whether a second person must approve it.")]
LocalTime = Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]


SeriesWindowHours = Annotated[
    int,
    Meta(
        ge=2,
        le=MOST_WINDOW_HOURS,
        description="How many hours the window of `send_time` has, 2 to 24.",
        examples=[12],
    ),
]


class SeriesTriggerBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What makes a user enter a series."""

    on: TriggerName

    list_id: int | UUID | None = None
    """For `list`: the id or key of the mailing list. Example: `3`"""

    event: Annotated[str, Meta(max_length=100)] = ""
    """For `event`: the name of the event. Example: `trial.started`"""

    attribute: Annotated[str, Meta(max_length=200)] = ""
    """For `date`: where the date (`YYYY-MM-DD`) is in the attributes of a user.
    Example: `plan.ends`"""

    offset_days: Annotated[int, Meta(ge=-366, le=366)] = 0
    """For `date`: how many days after it the series begins; before it if negative. Example: `-3`"""


class SeriesStepBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A mail of a series, and the wait before it."""

    template_path: Annotated[str, Meta(min_length=1, max_length=200)]
    """The path of the template, which needs a text for email. Example: `welcome.first`"""

    wait_days: Annotated[int, Meta(ge=0, le=MOST_DAYS)] = 0
    """Calendar days in the user's time zone, since the mail before or the entry. Example: `3`"""

    wait_minutes: Annotated[int, Meta(ge=0, le=MOST_MINUTES)] = 0
    """Minutes that follow the days. Example: `30`"""

    at: LocalTime | None = None
    """The user's local time at which the mail is sent, the next one after the wait; null for right
    after it. Example: `09:00`"""

    send_time: SendTimeName = SCHEDULED
    send_window_hours: SeriesWindowHours = MOST_WINDOW_HOURS
    send_at_night: SendAtNight = False
    learning_holdout_percent: LearningHoldoutPercent = 10.0


SeriesSteps = Annotated[
    list[SeriesStepBody],
    Meta(
        min_length=1,
        max_length=MOST_STEPS,
        description="The mails in order, 1 to 20.",
        examples=[[{"template_path": "welcome.first", "wait_days": 1, "at": "09:00"}]],
    ),
]


class MailSeriesBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A series to write. It is a draft."""

    name: SeriesName

    trigger: SeriesTriggerBody
    """What makes a user enter. Example: `{"on": "event", "event": "trial.started"}`"""

    steps: SeriesSteps
    description: SeriesAbout = ""

    category: CategoryKey | None = None
    """The key of its category; left out, that of each template. Example: `marketing`"""

    context: SeriesContext = {}

    goal: GoalName | None = None
    """The name of a goal at which users leave; left out, none. Example: `first order`"""

    holdout_percent: SeriesHoldout = 0.0

    reentry_days: ReentryDays | None = None
    """After how many days a user may enter again; left out, never. Example: `365`"""

    track_opens: TracksSeriesOpens | None = None
    """Whether opens are tracked. Example: `true`"""

    track_clicks: TracksSeriesClicks | None = None
    """Whether clicks are tracked. Example: `true`"""

    needs_approval: NeedsSeriesApproval = False


class MailSeriesChangeBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Changes of a series. After the launch, only the name, the description and the steps change.
    A field that is left out stays as it is."""

    name: SeriesName | UnsetType = UNSET
    """The name for operators. Example: `Welcome`"""

    trigger: SeriesTriggerBody | UnsetType = UNSET
    """What makes a user enter. Example: `{"on": "event", "event": "trial.started"}`"""

    steps: SeriesSteps | UnsetType = UNSET
    """The mails in order. Users who are in the series go on with those that they entered with.
    Example: `[{"template_path": "welcome.first"}]`"""

    description: SeriesAbout | UnsetType = UNSET
    """What it is for. Example: `Shows new readers around`"""

    category: CategoryKey | UnsetType | None = UNSET
    """The key of its category; null for that of each template. Example: `marketing`"""

    context: SeriesContext | UnsetType = UNSET
    """The values of the templates. Example: `{"shop": "Books"}`"""

    goal: GoalName | UnsetType | None = UNSET
    """The goal at which users leave; null for none. Example: `first order`"""

    holdout_percent: SeriesHoldout | UnsetType = UNSET
    """The share of users who get nothing. Example: `5.0`"""

    reentry_days: ReentryDays | UnsetType | None = UNSET
    """After how many days a user may enter again; null for never. Example: `365`"""

    track_opens: TracksSeriesOpens | UnsetType | None = UNSET
    """Whether opens are tracked. Example: `true`"""

    track_clicks: TracksSeriesClicks | UnsetType | None = UNSET
    """Whether clicks are tracked. Example: `true`"""

    needs_approval: NeedsSeriesApproval | UnsetType = UNSET
    """Whether a second person must approve it. Example: `true`"""


class SeriesRejectBody(msgspec.Struct, kw_only=True):
    """Why a series is returned to its author."""

    note: Annotated[str, Meta(min_length=1, max_length=1000)]
    """What the author should change. Example: `Please wait a day longer.`"""


class SeriesTriggerResponse(msgspec.Struct, kw_only=True):
    """What makes a user enter a series."""

    on: TriggerName

    list_id: int | None
    """The key of the mailing list, or null. Example: `3`"""

    event: str
    """The name of the event; empty for none. Example: `trial.started`"""

    attribute: str
    """Where the date is in the attributes of a user; empty for none. Example: `plan.ends`"""

    offset_days: int
    """How many days after the date the series begins. Example: `-3`"""


class SeriesStepResponse(msgspec.Struct, kw_only=True):
    """A mail of a series, and the wait before it."""

    template_path: TemplatePath

    wait_days: int
    """Calendar days in the user's time zone. Example: `3`"""

    wait_minutes: int
    """Minutes that follow the days. Example: `30`"""

    at: str | None
    """The user's local time at which the mail is sent; null for right after the wait.
    Example: `09:00`"""

    send_time: SendTimeName
    send_window_hours: SeriesWindowHours
    send_at_night: SendAtNight
    learning_holdout_percent: LearningHoldoutPercent


class MailSeriesResponse(msgspec.Struct, kw_only=True):
    """A series."""

    id: UUID
    """The id of the series."""

    key: int
    """The integer id of the series, by which lists are ordered. Example: `4`"""

    name: SeriesName
    description: SeriesAbout
    status: MailSeriesState
    approval: ApprovalState
    needs_approval: NeedsSeriesApproval

    trigger: SeriesTriggerResponse
    """What makes a user enter."""

    steps: list[SeriesStepResponse]
    """The mails of the version that users enter now."""

    version: int
    """The number of that version. Example: `1`"""

    requested_steps: list[SeriesStepResponse] | None
    """The mails of a change of an open series that waits for approval, or null."""

    category: str
    """The key of its category; empty for that of each template. Example: `marketing`"""

    context: SeriesContext

    goal: str | None
    """The name of the goal at which users leave, or null. Example: `first order`"""

    holdout_percent: SeriesHoldout

    reentry_days: int | None
    """After how many days a user may enter again; null for never. Example: `365`"""

    track_opens: bool | None
    """Whether opens are tracked; null: the service's setting decides."""

    track_clicks: bool | None
    """Whether clicks are tracked; null: the service's setting decides."""

    created_by: UserIdOrNone
    approved_by: UserIdOrNone

    review_note: str
    """What the author should change; empty for nothing. Example: `Please wait a day longer.`"""

    error: str
    """Why it paused, or failed; empty for no error. Example: `no template serves welcome.first`"""

    created_at: datetime
    """When it was written (RFC 3339)."""

    updated_at: datetime
    """When it last changed (RFC 3339)."""

    launched_at: datetime | None
    """When it was launched (RFC 3339), or null."""

    ended_at: datetime | None
    """When it ended (RFC 3339), or null."""


class MailSeriesList(msgspec.Struct, kw_only=True):
    """A page of series, the oldest first."""

    results: list[MailSeriesResponse]
    """The series of this page."""

    next: NextPage = None
    previous: PreviousPage = None
