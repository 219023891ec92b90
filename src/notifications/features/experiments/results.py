"""The results of a test: figures for people to read, and the decision that ends it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from notifications.domain.experiments.decision import Comparison, Decision, decide
from notifications.domain.experiments.proportions import Arm, wilson_interval, z_test
from notifications.features.experiments.counting import ABTestCounts, count_test
from notifications.features.experiments.result_schemas import (
    ABTestArmResponse,
    ABTestComparisonResponse,
    ABTestDecisionResponse,
    ABTestResultsResponse,
    ABTestSegmentResponse,
    SampleRatioResponse,
)
from notifications.models import ABTestStatus, NotificationABTest

_MOST_SEGMENTS = 50


@dataclass(frozen=True, slots=True)
class ABTestFigures:
    """The figures of a test at one moment."""

    counts: ABTestCounts
    #: By variant, in their order.
    arms: Mapping[str, Arm]
    decision: Decision


def figures_of(test: NotificationABTest, *, now: datetime) -> ABTestFigures:
    """Reads the counts of a test and decides on them. The decision is valid at any look."""
    counts = count_test(test, now=now)
    arms = {name: counts.of(name, test.channel).arm() for name in test.weights}
    decision = decide(arms, test.weights, control=test.settings["control"], rule=test.rule)
    return ABTestFigures(counts, arms, decision)


def results_of(test: NotificationABTest, *, now: datetime) -> ABTestResultsResponse:
    """Returns all that is known of a test, as the API shows it."""
    found = figures_of(test, now=now)
    control = test.settings["control"]
    ratio = found.decision.sample_ratio
    return ABTestResultsResponse(
        id=test.pk,
        status=test.status,
        metric=test.metric,
        channel=test.channel,
        winner=test.winner_variant or None,
        arms=_arms(test, found.arms),
        comparisons=[
            _comparison(each, found.arms[control], found.arms[each.variant], test)
            for each in found.decision.comparisons
        ],
        decision=_decision(found.decision),
        sample_ratio=SampleRatioResponse(p_value=ratio.p_value, mismatch=ratio.mismatch),
        held_out=found.counts.held_out,
        outside=found.counts.outside,
        segments=_segments(test, found.counts),
    )


def _arms(test: NotificationABTest, arms: Mapping[str, Arm]) -> list[ABTestArmResponse]:
    return [
        _arm(name, arm, weight=test.weights[name], confidence_level=test.confidence_level)
        for name, arm in arms.items()
    ]


def _arm(name: str, arm: Arm, *, weight: int, confidence_level: float) -> ABTestArmResponse:
    interval = wilson_interval(arm, confidence_level=confidence_level)
    return ABTestArmResponse(
        variant=name,
        weight=weight,
        exposures=arm.people,
        settled=arm.people if arm.settled is None else arm.settled,
        conversions=arm.conversions,
        rate=arm.rate,
        rate_low=interval.low,
        rate_high=interval.high,
    )


def _comparison(
    found: Comparison, control: Arm, variant: Arm, test: NotificationABTest
) -> ABTestComparisonResponse:
    z = z_test(control, variant, confidence_level=test.confidence_level)
    lifts = found.lift_interval
    return ABTestComparisonResponse(
        variant=found.variant,
        lift=found.lift,
        lift_low=lifts.low if lifts else None,
        lift_high=_finite(lifts.high) if lifts else None,
        p_value=found.p_value,
        level=found.level,
        better=found.is_better,
        worse=found.is_worse,
        z_score=z.z_score if z else None,
        z_test_p_value=z.p_value if z else None,
    )


def _finite(number: float) -> float | None:
    """Returns a number that JSON has; None for one without a bound."""
    return number if number < float("inf") else None


def _decision(found: Decision) -> ABTestDecisionResponse:
    return ABTestDecisionResponse(
        conclusion=found.conclusion,
        explanation=found.explanation,
        winner=found.winner,
        safe_to_stop=found.safe_to_stop,
        more_people=found.more_people,
    )


def _segments(test: NotificationABTest, counts: ABTestCounts) -> list[ABTestSegmentResponse]:
    """Returns the figures by channel and by provider. Nothing is decided on them."""
    if test.status == ABTestStatus.DRAFT:
        return []
    channels = sorted({key.channel for key in counts.segments})
    pairs = sorted({(key.channel, key.provider) for key in counts.segments})
    parts: list[tuple[str, str, str | None]] = [(name, "", None) for name in channels]
    parts += [(channel, provider, provider) for channel, provider in pairs]
    return [
        ABTestSegmentResponse(
            channel=channel,
            provider=shown,
            arms=_arms(test, _arms_in(test.weights, counts, channel, provider)),
        )
        for channel, shown, provider in parts[:_MOST_SEGMENTS]
    ]


def _arms_in(
    variants: Iterable[str], counts: ABTestCounts, channel: str, provider: str | None
) -> dict[str, Arm]:
    return {name: counts.of(name, channel, provider).arm() for name in variants}
