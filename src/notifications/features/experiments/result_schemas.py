"""Responses of the results and the planning of A/B tests."""

from __future__ import annotations

from typing import Annotated

import msgspec

from notifications.domain.experiments.decision import Conclusion
from notifications.features.experiments.schemas import ABTestMetricName, ABTestStatusName, Weight
from notifications.infra.field_types import ChannelName, choice

ConclusionName = Annotated[
    str,
    choice(
        "ABTestConclusion",
        Conclusion,
        "What the figures say. `mismatch`: the groups do not have the sizes of their weights, which"
        " blocks a winner.",
    ),
]


Weights = Annotated[list[Weight], msgspec.Meta(min_length=2, max_length=10)]


class ABTestArmResponse(msgspec.Struct, kw_only=True):
    """One variant: the people who were exposed to it, and those who succeeded."""

    variant: str
    """The name of the variant. Example: `B`"""

    weight: int
    """Its weight. Example: `1`"""

    exposures: int
    """Messages that were handed over, one for each person. Example: `5000`"""

    settled: int
    """Those whose outcome is final: a success, or the window is over. Example: `4200`"""

    conversions: int
    """Those that succeeded within the window, by an action of a person. Example: `240`"""

    rate: float
    """Conversions over exposures; 0 without one. Example: `0.048`"""

    rate_low: float
    """The lower end of the Wilson interval of the rate. Example: `0.0424`"""

    rate_high: float
    """Its upper end. Example: `0.0543`"""


class ABTestComparisonResponse(msgspec.Struct, kw_only=True):
    """A variant against control."""

    variant: str
    """The name of the variant. Example: `B`"""

    lift: float | None
    """Its rate over that of control, minus 1; null where control has no conversions.
    Example: `0.2`"""

    lift_low: float | None
    """The lower end of the interval of the lift, valid at any look; null where there is none.
    Example: `0.02`"""

    lift_high: float | None
    """Its upper end; null where there is none. Example: `0.41`"""

    p_value: float
    """Valid at any look. Example: `0.012`"""

    level: float
    """What the p-value is compared with: the level of the test over the comparisons.
    Example: `0.05`"""

    better: bool
    """Whether the variant is better than control. Example: `true`"""

    worse: bool
    """Whether the variant is worse than control. Example: `false`"""

    z_score: float | None
    """That of the two-proportion z-test, for one look; null where it is undefined.
    Example: `2.7`"""

    z_test_p_value: float | None
    """The p-value of the z-test, valid at one look alone. Example: `0.007`"""


class ABTestDecisionResponse(msgspec.Struct, kw_only=True):
    """Whether the test may end, and with which winner. It is valid at any look."""

    conclusion: ConclusionName

    explanation: str
    """The reason, in words. Example: `B converts better than A.`"""

    winner: str | None
    """The winning variant, with the conclusion `winner` alone. Example: `B`"""

    safe_to_stop: bool
    """Whether a longer test would hardly change the answer. Example: `true`"""

    more_people: int | None
    """People until a winner is likely, if the rates stay as they are; null where nothing can be
    said. Example: `12000`"""


class SampleRatioResponse(msgspec.Struct, kw_only=True):
    """Whether the groups have the sizes that the weights promise."""

    p_value: float
    """Valid at any look; below 0.001 it is a mismatch. Example: `0.8`"""

    mismatch: bool
    """A mismatch blocks a winner: people were lost in one variant. Example: `false`"""


class ABTestSegmentResponse(msgspec.Struct, kw_only=True):
    """The figures of a part of the messages. No decision rests on it."""

    channel: ChannelName

    provider: str
    """The provider; empty for all providers of the channel. Example: `smtp`"""

    arms: list[ABTestArmResponse]
    """The variants, in their order."""

    exploratory: bool = True
    """Always true: of many segments, some differ by chance. Example: `true`"""


class ABTestResultsResponse(msgspec.Struct, kw_only=True):
    """The results of a test."""

    id: int
    """The id of the test. Example: `7`"""

    status: ABTestStatusName
    metric: ABTestMetricName
    channel: ChannelName

    winner: str | None
    """The variant that was declared the winner, by a person or the service. Example: `B`"""

    arms: list[ABTestArmResponse]
    """The variants, in their order."""

    comparisons: list[ABTestComparisonResponse]
    """Each variant against control."""

    decision: ABTestDecisionResponse
    """What the figures say now."""

    sample_ratio: SampleRatioResponse
    """Whether the groups have the sizes of their weights."""

    held_out: int
    """Messages that no one got, of people in the holdout. Example: `500`"""

    outside: int
    """Messages with the usual template, of people outside of the test. Example: `5000`"""

    segments: list[ABTestSegmentResponse]
    """The figures by channel and by provider, exploratory."""


class ABTestPlanBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a test should find."""

    rate: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    """The expected rate of control. Example: `0.02`"""

    lift: Annotated[float, msgspec.Meta(ge=-0.99, le=100)]
    """The smallest relative difference of interest. Example: `0.2`"""

    weights: Weights = msgspec.field(default_factory=lambda: [1, 1])
    """The weights of the variants, control first. Example: `[1, 1]`"""

    confidence_level: Annotated[float, msgspec.Meta(ge=0.5, le=0.999)] = 0.95
    """1 minus the share of tests without a difference that may get a winner. Example: `0.95`"""

    power: Annotated[float, msgspec.Meta(ge=0.5, le=0.999)] = 0.8
    """The share of tests with this difference that should find it. Example: `0.8`"""

    people_per_day: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = 0.0
    """New people a day, for the duration. Example: `2000`"""

    traffic_percentage: Annotated[float, msgspec.Meta(gt=0, le=100)] = 100.0
    """The percent of them who are in the test. Example: `50`"""


class ABTestPlanResponse(msgspec.Struct, kw_only=True):
    """How many people a test needs, of all variants together."""

    one_look: int
    """For the z-test, read once at the end. Example: `42217`"""

    people: int
    """For the decision, which may be read at any time, with this plan. Example: `67547`"""

    people_without_plan: int
    """The same for a test without a plan. Example: `92877`"""

    days: int | None
    """Days until `people` are in the test; null without `people_per_day`. Example: `68`"""
