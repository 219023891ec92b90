"""Request and response schemas of the A/B test inside a campaign."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from notifications.domain.campaigns.variants import CampaignDecision
from notifications.features.experiments.schemas import (
    ABTestEndName,
    ABTestMetricName,
    ABTestStatusName,
    ConfidenceLevel,
    ExpectedLift,
    ExpectedRate,
    SampleMinimum,
    VariantName,
    Weight,
)
from notifications.infra.field_types import PersonChannelName, choice

MOST_DEADLINE_HOURS = 336
CampaignDecisionName = Annotated[
    str,
    choice(
        "CampaignDecision",
        CampaignDecision,
        "When the test may be decided. `evidence`: as soon as it is safe to stop, and at the"
        " deadline at the latest. `deadline`: then only.",
    ),
]


class CampaignVariantBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A variant of the test of a campaign."""

    name: VariantName
    """Letters, digits, `-` and `_`, at most 20. Example: `B`"""

    template_path: Annotated[str, Meta(max_length=200)] = ""
    """The template of its text; empty for that of the campaign. Example: `news.may_short`"""

    weight: Weight = 1
    """Its share, in relation to the others. Example: `1`"""


class CampaignABTestBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A test on a part of the people; the others get the winner.

    Where no winner is known at the deadline, they get the first variant.
    """

    variants: Annotated[list[CampaignVariantBody], Meta(min_length=2, max_length=10)]
    """Two to ten variants. The others are compared with the first."""

    test_percent: Annotated[int, Meta(ge=1, le=90)] = 20
    """The percent of the users in the test, of those who are not held out. Example: `20`"""

    decide: CampaignDecisionName = "evidence"

    deadline_hours: Annotated[int, Meta(ge=2, le=MOST_DEADLINE_HOURS)] = 24
    """How many hours after its beginning the test is decided at the latest. Example: `24`"""

    window_hours: Annotated[int, Meta(ge=1, le=MOST_DEADLINE_HOURS - 1)] = 4
    """For how many hours after its hand-over a message may succeed; less than `deadline_hours`.
    Example: `4`"""

    channel: PersonChannelName = "email"
    metric: ABTestMetricName = "click_rate"

    goal: Annotated[str, Meta(max_length=100)] | None = None
    """The name of the goal, for `conversion_rate`. Example: `Course bought`"""

    minimum_sample_size: SampleMinimum = 100
    """No winner before each variant has so many users. Example: `100`"""

    confidence_level: ConfidenceLevel = 0.95
    """1 minus the share of tests without a difference that may get a winner. Example: `0.95`"""

    expected_rate: ExpectedRate | None = None
    """The rate that is expected of all variants together; null for no plan. Example: `0.02`"""

    expected_lift: ExpectedLift | None = None
    """The smallest relative difference of interest; null for no plan. Example: `0.2`"""


class CampaignVariantCounts(msgspec.Struct, kw_only=True):
    """The counts of a variant until now. People alone count."""

    variant: str
    """Its name. Example: `B`"""

    exposures: int
    """Its users to whom a message of the test's channel was handed over. Example: `512`"""

    conversions: int
    """Those who acted in time. Example: `24`"""

    rate: float
    """`conversions` as a share of `exposures`. Example: `0.047`"""


class CampaignABTestProgress(msgspec.Struct, kw_only=True):
    """How far the test of a campaign has come."""

    ab_test_id: int
    """The integer id of the A/B test; its `results` have all figures. Example: `7`"""

    status: ABTestStatusName

    deadline: datetime
    """When it is decided at the latest (RFC 3339)."""

    variants: list[CampaignVariantCounts]
    """The variants, in their order."""

    safe_to_stop: bool
    """Whether a longer test would hardly change the answer. Example: `false`"""

    explanation: str
    """What the figures say, in words; once it ended, why. Example: `Keep running: …`"""

    winner: str | None
    """The winning variant; null without one. Example: `B`"""

    ended_by: ABTestEndName

    rest_variant: str | None
    """The variant that the rest gets; null while the test runs. Example: `B`"""

    rest_released_at: datetime | None
    """When the rest was released (RFC 3339), or null."""
