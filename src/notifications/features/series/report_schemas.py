"""Response schemas of the people in a series, and of its counts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from notifications.domain.series.lifecycle import EnrollmentState, ExitReason
from notifications.features.learning.schemas import LearningEffect
from notifications.features.series.schemas import MailSeriesState
from notifications.infra.field_types import NextPage, PreviousPage, TemplatePath, choice

EnrollmentStateName = Annotated[
    str,
    choice(
        "EnrollmentState",
        EnrollmentState,
        "Where a user is in a series. `held_out`: the user gets nothing, to measure an effect.",
    ),
]
ExitReasonName = Annotated[
    str,
    choice(
        "ExitReason",
        ["", *ExitReason],
        "Why a user left a series before its last mail; empty for no exit.",
    ),
]
People = Annotated[int, Meta(description="The number of users.", examples=[240])]


class SeriesEnrollmentResponse(msgspec.Struct, kw_only=True):
    """A user in a series."""

    key: int
    """The integer id of this row, by which lists are ordered. Example: `42`"""

    user_id: int
    """The user's integer id. Example: `42`"""

    entry: int
    """1 for the first time in the series, 2 for the second. Example: `1`"""

    version: int
    """The version of the steps with which the user entered. Example: `1`"""

    state: EnrollmentStateName

    step: int
    """The number of the next mail, from 1; after the last one, their number plus 1. Example: `2`"""

    due_at: datetime | None
    """When it is due (RFC 3339), or null."""

    reason: ExitReasonName

    entered_at: datetime
    """When the user entered (RFC 3339)."""

    ended_at: datetime | None
    """When the user left or was sent the last mail (RFC 3339), or null."""


class SeriesEnrollmentList(msgspec.Struct, kw_only=True):
    """A page of the users of a series, in the order in which they entered."""

    results: list[SeriesEnrollmentResponse]
    """The users of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class SeriesStepCounts(msgspec.Struct, kw_only=True):
    """The counts of one step of a version."""

    version: int
    """The version of the steps. Example: `1`"""

    step: int
    """The number of the step, from 1. Example: `2`"""

    template_path: TemplatePath

    sent: People
    waiting: People

    exited: dict[str, int]
    """How many users left before this mail, by reason. Example: `{"goal_reached": 3}`"""

    learning: LearningEffect | None = None
    """What its learned hours did; null where none are learned. `open`: users may still get it."""


class SeriesReportResponse(msgspec.Struct, kw_only=True):
    """How many users of a series are where."""

    id: UUID
    """The id of the series."""

    status: MailSeriesState
    waiting: People
    completed: People
    exited: People
    held_out: People

    steps: list[SeriesStepCounts]
    """The counts of each step, by version."""
