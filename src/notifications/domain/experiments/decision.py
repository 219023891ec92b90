"""Decides whether a test may stop, and which variant won. The answer holds at any look."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from notifications.domain.experiments import wording
from notifications.domain.experiments.evidence import (
    Evidence,
    counts_of,
    evidence,
    evidence_of,
    lift_interval,
)
from notifications.domain.experiments.prior import NO_PLAN, ExperimentPlan
from notifications.domain.experiments.proportions import Arm, Interval
from notifications.domain.experiments.sample_ratio import SampleRatio, sample_ratio

_FARTHEST = 1_000.0
"""A projection ends at so many times the present people."""
_HALVINGS = 40


class Conclusion(StrEnum):
    """What the figures say about a test."""

    WINNER = "winner"
    NO_DIFFERENCE = "no_difference"
    CONTINUE = "continue"
    MISMATCH = "mismatch"


@dataclass(frozen=True, slots=True)
class StopRule:
    """How a test is judged; it must not change while the test runs.

    level: 1 - confidence level, the share of tests without a difference that may get a winner.
    minimum_people: no winner before each variant has so many.
    plan: its lift is also the smallest difference of interest: a test whose intervals are all
    nearer to 0 has no difference.
    """

    level: float = 0.05
    minimum_people: int = 0
    plan: ExperimentPlan = NO_PLAN


@dataclass(frozen=True, slots=True)
class Comparison:
    """One variant against control.

    p_value: valid at any look, for this comparison alone. level: what it is held against, the
    rule's level / number of comparisons. lift: None where control has no conversions.
    lift_interval: at this level, valid at any look.
    """

    variant: str
    evidence: Evidence
    level: float
    lift: float | None
    lift_interval: Interval | None

    @property
    def p_value(self) -> float:
        """Valid at any look; see `Evidence.p_value`."""
        return self.evidence.p_value

    @property
    def is_better(self) -> bool:
        """Whether the variant converts better than control."""
        return self.evidence.favours_variant(self.level)

    @property
    def is_worse(self) -> bool:
        """Whether the variant converts worse than control."""
        return self.evidence.favours_control(self.level)


@dataclass(frozen=True, slots=True)
class Decision:
    """The conclusion, with the reason in plain words.

    winner: the variant's name, only with the conclusion `winner`.
    more_people: of all variants together, until a winner is likely if the rates stay as they are;
    None where nothing can be said, and where the test may stop.
    """

    conclusion: Conclusion
    explanation: str
    winner: str | None
    more_people: int | None
    comparisons: tuple[Comparison, ...]
    sample_ratio: SampleRatio

    @property
    def safe_to_stop(self) -> bool:
        """Whether a longer test would hardly change the answer."""
        return self.conclusion in (Conclusion.WINNER, Conclusion.NO_DIFFERENCE)


NO_RULE = StopRule()


@dataclass(frozen=True, slots=True)
class _Test:
    """What a decision is made from."""

    arms: Mapping[str, Arm]
    weights: Mapping[str, int]
    control: str
    rule: StopRule

    @property
    def smallest(self) -> int:
        """The people of the smallest variant."""
        return min(arm.people for arm in self.arms.values())

    @property
    def level(self) -> float:
        """The level of one comparison."""
        return self.rule.level / (len(self.arms) - 1)

    def share(self, variant: str) -> float:
        """Returns the variant's share of the people of control and variant."""
        return self.weights[variant] / (self.weights[self.control] + self.weights[variant])


def decide(
    arms: Mapping[str, Arm],
    weights: Mapping[str, int],
    *,
    control: str,
    rule: StopRule = NO_RULE,
) -> Decision:
    """Returns the decision on a test of two or more variants.

    arms, weights: by the variant's name; control is the variant that the others are held against.
    Raises KeyError for a variant without a weight, ValueError for fewer than two variants.
    """
    if len(arms) < 2:
        raise ValueError("A test needs at least two variants.")
    test = _Test(arms, weights, control, rule)
    ratio = sample_ratio([arm.people for arm in arms.values()], [weights[name] for name in arms])
    found = tuple(_compare(test, name) for name in arms if name != control)
    conclusion, winner = _conclude(test, found, ratio)
    more = _more_people(test, found) if conclusion is Conclusion.CONTINUE else None
    return Decision(
        conclusion=conclusion,
        explanation=_explain(test, conclusion, winner, found, ratio, more),
        winner=winner,
        more_people=more,
        comparisons=found,
        sample_ratio=ratio,
    )


def _compare(test: _Test, name: str) -> Comparison:
    control, variant = test.arms[test.control], test.arms[name]
    share, plan = test.share(name), test.rule.plan
    return Comparison(
        variant=name,
        evidence=evidence(control, variant, share=share, plan=plan),
        level=test.level,
        lift=variant.rate / control.rate - 1 if control.rate and variant.people else None,
        lift_interval=lift_interval(control, variant, share=share, level=test.level, plan=plan),
    )


def _conclude(
    test: _Test, found: tuple[Comparison, ...], ratio: SampleRatio
) -> tuple[Conclusion, str | None]:
    if ratio.mismatch:
        return Conclusion.MISMATCH, None
    if test.smallest < test.rule.minimum_people:
        return Conclusion.CONTINUE, None
    better = [comparison.variant for comparison in found if comparison.is_better]
    if better:
        return Conclusion.WINNER, max(better, key=lambda name: test.arms[name].rate)
    if all(comparison.is_worse for comparison in found):
        return Conclusion.WINNER, test.control
    if all(_is_small(comparison.lift_interval, test.rule.plan.lift) for comparison in found):
        return Conclusion.NO_DIFFERENCE, None
    return Conclusion.CONTINUE, None


def _is_small(interval: Interval | None, lift: float | None) -> bool:
    """Whether all lifts of the interval are smaller than the smallest of interest."""
    if interval is None or lift is None:
        return False
    return -lift < interval.low and interval.high < lift


def _more_people(test: _Test, found: tuple[Comparison, ...]) -> int | None:
    """Returns how many more people a winner needs if the rates stay; None where it is unknown.

    A variant that leads has to pass control. Control has to pass every variant.
    """
    if not test.smallest:
        return None
    leader = max(found, key=lambda comparison: test.arms[comparison.variant].rate)
    leads = test.arms[leader.variant].rate > test.arms[test.control].rate
    factor = test.rule.minimum_people / test.smallest
    for comparison in [leader] if leads else found:
        needed = _factor(test, comparison.variant, better=leads)
        if needed is None:
            return None
        factor = max(factor, needed)
    return math.ceil((factor - 1) * sum(arm.people for arm in test.arms.values()))


def _factor(test: _Test, variant: str, *, better: bool) -> float | None:
    """Returns by how much all counts must grow for a winner, or None for no difference in sight."""
    counts = counts_of(test.arms[test.control], test.arms[variant])
    share = test.share(variant)

    def suffices(factor: float) -> bool:
        one, two, three, four = counts
        grown = (one * factor, two * factor, three * factor, four * factor)
        then = evidence_of(grown, share=share, plan=test.rule.plan)
        return then.favours_variant(test.level) if better else then.favours_control(test.level)

    if not suffices(_FARTHEST):
        return None
    low, high = 0.0, math.log(_FARTHEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if suffices(math.exp(middle)) else (middle, high)
    return math.exp(high)


def _explain(
    test: _Test,
    conclusion: Conclusion,
    winner: str | None,
    found: tuple[Comparison, ...],
    ratio: SampleRatio,
    more: int | None,
) -> str:
    if conclusion is Conclusion.MISMATCH:
        return wording.mismatch(ratio.p_value)
    if conclusion is Conclusion.NO_DIFFERENCE:
        return wording.no_difference(test.rule.plan.lift or 0.0)
    if conclusion is Conclusion.CONTINUE:
        return wording.keep_running(test.smallest, test.rule.minimum_people, more)
    control = test.arms[test.control]
    best = [comparison for comparison in found if comparison.variant == winner]
    if not best:
        return wording.control_wins(test.control, control.rate, len(found))
    return wording.variant_wins(
        best[0].variant,
        test.arms[best[0].variant].rate,
        test.control,
        control.rate,
        best[0].lift_interval,
    )
