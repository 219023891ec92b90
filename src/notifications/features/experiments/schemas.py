"""Requests and responses of A/B tests."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from notifications.domain.experiments.labels import VARIANT_NAME
from notifications.infra.field_types import ChannelName, NextPage, PreviousPage, choice
from notifications.models import ABTestEnd, ABTestMetric, ABTestStatus

ABTestStatusName = Annotated[
    str,
    choice(
        "ABTestStatus",
        ABTestStatus.values,
        "The state of an A/B test. A test that was stopped is `completed`.",
    ),
]
ABTestMetricName = Annotated[
    str,
    choice(
        "ABTestMetric",
        ABTestMetric.values,
        "What counts as success: an open, a click or a conversion, by a person.",
    ),
]
ABTestEndName = Annotated[
    str,
    choice(
        "ABTestEnd",
        ("", *ABTestEnd.values),
        "How a test ended: a person stopped it, a person declared the winner, or the service did."
        " Empty before that.",
    ),
]
VariantName = Annotated[str, msgspec.Meta(pattern=f"^{VARIANT_NAME}$")]
TestName = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Traffic = Annotated[int, msgspec.Meta(ge=1, le=100)]
Holdout = Annotated[int, msgspec.Meta(ge=0, le=50)]
Weight = Annotated[int, msgspec.Meta(ge=1, le=1_000)]
WindowDays = Annotated[int, msgspec.Meta(ge=1, le=30)]
SampleMinimum = Annotated[int, msgspec.Meta(ge=0, le=100_000_000)]
ConfidenceLevel = Annotated[float, msgspec.Meta(ge=0.5, le=0.999)]
ExpectedRate = Annotated[float, msgspec.Meta(gt=0, lt=1)]
ExpectedLift = Annotated[float, msgspec.Meta(gt=0, le=100)]
LONGEST_CONTENT = 16_000


class ABTestVariantBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A variant: a name, and the template that its people get."""

    name: VariantName
    """Letters, digits, `-` and `_`, at most 20. Example: `B`"""

    weight: Weight = 1
    """Its share, in relation to the others. Example: `1`"""

    template_path: Annotated[str, msgspec.Meta(max_length=200)] = ""
    """The template of its text; empty for the test's own. Example: `welcome.short`"""

    version: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    """The number of a published version of that template; null for the one that is published when
    the test starts. Example: `3`"""

    content: dict[str, Any] = {}
    """Values for programs that choose the text themselves. They are not sent.
    Example: `{"color": "green"}`"""


Variants = Annotated[list[ABTestVariantBody], msgspec.Meta(min_length=2, max_length=10)]


class ABTestBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A test of the texts of one template."""

    name: TestName
    """The name of the test. Example: `Short welcome`"""

    template_id: int
    """The id of the template whose sends are divided. Example: `12`"""

    variants: Variants
    """Two to ten variants."""

    control: VariantName | None = None
    """The variant that the others are compared with; the first without it. Example: `A`"""

    traffic_percentage: Traffic = 50
    """The percent of people who are in the test. The others get the usual template.
    Example: `50`"""

    holdout_percentage: Holdout = 0
    """The percent of people who get nothing, for marketing alone. Example: `10`"""

    channel: ChannelName = "email"
    metric: ABTestMetricName = "click_rate"

    goal: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    """The name of the goal, for `conversion_rate`. Example: `Course bought`"""

    window_days: WindowDays = 7
    """For how many days after its hand-over a message may succeed. Example: `7`"""

    minimum_sample_size: SampleMinimum = 1_000
    """No winner before each variant has so many people. Example: `1000`"""

    confidence_level: ConfidenceLevel = 0.95
    """1 minus the share of tests without a difference that may get a winner. Example: `0.95`"""

    expected_rate: ExpectedRate | None = None
    """The rate that is expected of all variants together; null for no plan. Example: `0.02`"""

    expected_lift: ExpectedLift | None = None
    """The smallest relative difference of interest; null for no plan. Example: `0.2`"""

    automatic: bool = False
    """Whether the service ends the test when the figures allow it. Example: `true`"""


class ABTestChangeBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Changes of a test. Once it has started, only `name`, more traffic and `in_force` change."""

    name: TestName | UnsetType = UNSET
    """The name of the test. Example: `Short welcome`"""

    variants: Variants | UnsetType = UNSET
    """Two to ten variants, in place of all others."""

    control: VariantName | UnsetType = UNSET
    """The variant that the others are compared with. Example: `A`"""

    traffic_percentage: Traffic | UnsetType = UNSET
    """The percent of people who are in the test. While it runs, it may only grow. Example: `80`"""

    holdout_percentage: Holdout | UnsetType = UNSET
    """The percent of people who get nothing, for marketing alone. Example: `10`"""

    channel: ChannelName | UnsetType = UNSET
    metric: ABTestMetricName | UnsetType = UNSET

    goal: Annotated[str, msgspec.Meta(max_length=100)] | UnsetType | None = UNSET
    """The name of the goal, for `conversion_rate`. Example: `Course bought`"""

    window_days: WindowDays | UnsetType = UNSET
    """For how many days after its hand-over a message may succeed. Example: `7`"""

    minimum_sample_size: SampleMinimum | UnsetType = UNSET
    """No winner before each variant has so many people. Example: `1000`"""

    confidence_level: ConfidenceLevel | UnsetType = UNSET
    """1 minus the share of tests without a difference that may get a winner. Example: `0.95`"""

    expected_rate: ExpectedRate | UnsetType | None = UNSET
    """The rate that is expected of all variants together. Example: `0.02`"""

    expected_lift: ExpectedLift | UnsetType | None = UNSET
    """The smallest relative difference of interest. Example: `0.2`"""

    automatic: bool | UnsetType = UNSET
    """Whether the service ends the test when the figures allow it. Example: `true`"""

    in_force: bool | UnsetType = UNSET
    """False, for a completed test: sends get the usual template again. Example: `false`"""


class ABTestDeclareBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The winner that a person names."""

    winner: VariantName
    """The name of the variant. Example: `B`"""

    reason: Annotated[str, msgspec.Meta(max_length=500)] = ""
    """Why, for the audit log. Example: `it is easier to translate`"""


class ABTestVariantResponse(msgspec.Struct, kw_only=True):
    """A variant of a test."""

    name: str
    """Its name. Example: `B`"""

    weight: int
    """Its share, in relation to the others. Example: `1`"""

    template_path: str
    """The template of its text. Example: `welcome.short`"""

    version: int | None
    """The number of a version that was named; null for the published one. Example: `3`"""

    content: dict[str, Any]
    """Values for programs that choose the text themselves. Example: `{"color": "green"}`"""


class ABTestResponse(msgspec.Struct, kw_only=True):
    """A test."""

    id: int
    """The integer id of the test. Example: `7`"""

    name: str
    """The name of the test. Example: `Short welcome`"""

    template_id: int
    """The id of the template whose sends are divided. Example: `12`"""

    template_path: str
    """Its path. Example: `welcome`"""

    status: ABTestStatusName

    in_force: bool
    """Whether it changes what sends of the template say. Example: `true`"""

    variants: list[ABTestVariantResponse]
    """The variants, in their order."""

    control: str
    """The variant that the others are compared with. Example: `A`"""

    traffic_percentage: int
    """The percent of people who are in the test. Example: `50`"""

    holdout_percentage: int
    """The percent of people who get nothing. Example: `0`"""

    channel: ChannelName
    metric: ABTestMetricName

    goal: str | None
    """The name of the goal, for `conversion_rate`. Example: `Course bought`"""

    window_days: int
    """For how many days after its hand-over a message may succeed. Example: `7`"""

    window_hours: int
    """The same in hours; tests of campaigns have windows shorter than a day. Example: `168`"""

    campaign: int | None
    """The integer id of the campaign whose users it divides; null for a test of all sends.
    Example: `4`"""

    minimum_sample_size: int
    """No winner before each variant has so many people. Example: `1000`"""

    confidence_level: float
    """1 minus the share of tests without a difference that may get a winner. Example: `0.95`"""

    expected_rate: float | None
    """The rate that is expected of all variants together. Example: `0.02`"""

    expected_lift: float | None
    """The smallest relative difference of interest. Example: `0.2`"""

    automatic: bool
    """Whether the service ends the test when the figures allow it. Example: `true`"""

    winner: str | None
    """The winning variant; null without one. Example: `B`"""

    ended_by: ABTestEndName

    conclusion: str
    """Why it ended; empty before that. Example: `B converts better than A.`"""

    created_at: datetime
    """When it was made. Example: `2026-11-30T09:00:00Z`"""

    started_at: datetime | None
    """When it started first; null for a draft. Example: `2026-11-30T10:00:00Z`"""

    ended_at: datetime | None
    """When it ended; null before that. Example: `2026-12-07T10:00:00Z`"""


class ABTestList(msgspec.Struct, kw_only=True):
    """A page of tests, the oldest first."""

    results: list[ABTestResponse]
    """The tests of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class ABTestPlaceResponse(msgspec.Struct, kw_only=True):
    """The place of a notification in the A/B test of its template."""

    id: int
    """The id of the test. Example: `7`"""

    name: str
    """Its name; empty where it was deleted. Example: `Short welcome`"""

    variant: str
    """The variant whose text was used; empty for the usual template. Example: `B`"""

    place: str
    """`counted`, `uncounted` (a later notification of the person), `outside`, `held_out`,
    `paused` or `ended`. Example: `counted`"""
