"""Evidence that two variants differ, valid however often and whenever somebody looks.

Without a difference, the variant of each person is a draw by the weights, whatever the person does.
So, given who converted, the probability of each person's variant is known exactly. The evidence is
the ratio of that probability under a weighted list of differences to that without one. It is a
non-negative martingale that starts at 1: by Ville's inequality it reaches 1 / level in at most
`level` of all tests without a difference, at any rate, any split and under any peeking.
Related: Turner, Ly and Grünwald (2x2 safe tests, 2024); Lindon and Malek (2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from notifications.domain.experiments.prior import (
    NO_PLAN,
    Component,
    ExperimentPlan,
    components,
    logs_of,
    rates_of,
)
from notifications.domain.experiments.proportions import Arm, Interval

_WIDEST = 15.0
"""The largest log odds ratio that an interval looks at."""
_HALVINGS = 60

Counts = tuple[float, float, float, float]
"""Control converted, finally not, variant converted, finally not; fractions in projections."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Logs of the two e-values: that the variant converts better than control, and worse."""

    better: float
    worse: float

    @property
    def log_value(self) -> float:
        """The log of the mean of both: the evidence of any difference."""
        top = max(self.better, self.worse)
        return top + math.log(0.5 * math.exp(self.better - top) + 0.5 * math.exp(self.worse - top))

    @property
    def p_value(self) -> float:
        """A two-sided p-value that is valid at any look; at most 1."""
        return math.exp(-max(self.strongest, 0.0))

    @property
    def strongest(self) -> float:
        """The log evidence for the likelier direction, at half of the level for each direction."""
        return max(self.better, self.worse) - math.log(2)

    def favours_variant(self, level: float) -> bool:
        """Whether the variant is better, at this level."""
        return self.better >= math.log(2 / level)

    def favours_control(self, level: float) -> bool:
        """Whether control is better, at this level."""
        return self.worse >= math.log(2 / level)


def counts_of(control: Arm, variant: Arm) -> Counts:
    """Returns how many people of each variant converted, and how many finally did not.

    People who may still convert count in neither: their variant adds nothing before their outcome
    is final, so that late conversions cannot bias the evidence.
    """
    return (control.conversions, control.unconverted, variant.conversions, variant.unconverted)


def evidence(
    control: Arm, variant: Arm, *, share: float, plan: ExperimentPlan = NO_PLAN
) -> Evidence:
    """Returns the evidence of a difference between control and a variant.

    share: the variant's weight / (its weight + control's). plan: as it was before the test began.
    """
    return evidence_of(counts_of(control, variant), share=share, plan=plan)


def evidence_of(counts: Counts, *, share: float, plan: ExperimentPlan = NO_PLAN) -> Evidence:
    """Returns the evidence of counts; they may be fractions, for projections."""
    return Evidence(
        better=log_of_direction(counts, share=share, plan=plan, sign=1),
        worse=log_of_direction(counts, share=share, plan=plan, sign=-1),
    )


def log_of_direction(counts: Counts, *, share: float, plan: ExperimentPlan, sign: int) -> float:
    """Returns the log e-value that the variant is better (sign 1), or worse (-1), than control."""
    return _log_sum(components(share, plan, sign), counts)


def _log_sum(weighed: tuple[Component, ...], counts: Counts) -> float:
    one, two, three, four = counts
    logs = [w + a * one + b * two + c * three + d * four for w, a, b, c, d in weighed]
    top = max(logs)
    return top + math.log(sum([math.exp(value - top) for value in logs]))


def lift_interval(
    control: Arm, variant: Arm, *, share: float, level: float = 0.05, plan: ExperimentPlan = NO_PLAN
) -> Interval | None:
    """Returns the confidence sequence of the lift, from the same evidence as the decision.

    It has the lifts that the evidence does not reject at `level`, at any look. It excludes 0 where
    the evidence favours one side. It is exact at 0; elsewhere the overall rate is estimated.
    None without conversions, and where the group sizes contradict the share.
    """
    counts = counts_of(control, variant)
    converted = control.conversions + variant.conversions
    if not converted:
        return None
    overall = (converted + 0.5) / (control.people + variant.people + 1)
    bar = evidence_of(counts, share=share, plan=plan).log_value + math.log(level)
    middle = _log_odds(variant) - _log_odds(control)
    if log_ratio(counts, overall, middle, share) <= bar:
        return None
    low, high = (_end(counts, overall, middle, share, bar, side) for side in (-1, 1))
    return Interval(_lift_at(overall, low, share), _lift_at(overall, high, share))


def _log_odds(arm: Arm) -> float:
    return math.log((arm.conversions + 0.5) / (arm.people - arm.conversions + 0.5))


def log_ratio(counts: Counts, overall: float, log_odds_ratio: float, share: float) -> float:
    """Returns the log likelihood ratio of one difference against none."""
    logs = logs_of(overall, log_odds_ratio, share)
    return sum(count * log for count, log in zip(counts, logs, strict=True))


def _end(
    counts: Counts, overall: float, inside: float, share: float, bar: float, side: int
) -> float:
    """Returns where the likelihood ratio falls to the bar, on one side of `inside`."""
    outside = side * _WIDEST
    if log_ratio(counts, overall, outside, share) > bar:
        return side * math.inf
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if log_ratio(counts, overall, middle, share) > bar:
            inside = middle
        else:
            outside = middle
    return outside


def _lift_at(overall: float, log_odds_ratio: float, share: float) -> float:
    if math.isinf(log_odds_ratio):
        return -1.0 if log_odds_ratio < 0 else math.inf
    rates = rates_of(overall, log_odds_ratio, share)
    return rates.variant / rates.control - 1
