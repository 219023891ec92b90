"""Which differences the evidence weighs: a fixed list, chosen before a test begins.

Any list keeps the guarantee, as long as it does not depend on the test's own results. A list near
the truth needs fewer people. A plan names the rate and the lift that are expected.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

_RATES = ((0.0, 0.3), (0.05, 0.2), (0.15, 0.15), (0.3, 0.15), (0.5, 0.1), (0.75, 0.1))
"""Overall rates without a plan, and their weights. At the first, only converted people count."""
_STEP = 1.25
_SMALLEST, _LARGEST = 0.01, 3.0
"""Differences as logarithms of the odds ratio: from 1 % to twenty times."""
_TYPICAL, _SPREAD = 0.25, 0.9
"""Differences near 28 % have the largest weight."""
_PLANNED = 0.85
"""The weight of what a plan names; the rest stays with the list for tests without a plan."""


@dataclass(frozen=True, slots=True)
class ExperimentPlan:
    """What is expected of a test before it begins. It must not change while the test runs.

    rate: conversions per person of all variants together, such as those of the last month.
    lift: the relative difference to be found, such as 0.2 for 2.4 % in place of 2.0 %.
    Both may be wrong, or absent: the guarantee stays, only the number of people grows.
    """

    rate: float | None = None
    lift: float | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a rate outside 0 to 1, or a lift that is not above 0."""
        if self.rate is not None and not 0 < self.rate < 1:
            raise ValueError("An expected rate is between 0 and 1.")
        if self.lift is not None and self.lift <= 0:
            raise ValueError("An expected lift is above 0.")

    def log_odds_ratio(self) -> float:
        """Returns the expected lift as a difference of log odds, at the expected rate."""
        lift, rate = self.lift or 0.0, self.rate or 0.0
        if rate * (1 + lift) >= 1:
            return _LARGEST
        return min(math.log1p(lift) + math.log((1 - rate) / (1 - rate * (1 + lift))), _LARGEST)


NO_PLAN = ExperimentPlan()


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates of control and variant, and of both together."""

    control: float
    variant: float
    overall: float


def rates_of(overall: float, log_odds_ratio: float, share: float) -> Rates:
    """Returns the rates with this overall rate and odds ratio; share: the variant's share."""
    ratio = math.exp(log_odds_ratio)
    linear = (1 - share) + share * ratio - overall * (ratio - 1)
    square = (1 - share) * (ratio - 1)
    root = math.sqrt(linear * linear + 4 * square * overall)
    # Two forms of one root: each is exact where the other subtracts nearly equal numbers.
    control = 2 * overall / (linear + root) if linear > 0 else (root - linear) / (2 * square)
    variant = ratio * control / (1 + (ratio - 1) * control)
    return Rates(control, variant, (1 - share) * control + share * variant)


Logs = tuple[float, float, float, float]
"""What one person adds to the log evidence: control converted, control not, variant both."""


def logs_of(overall: float, log_odds_ratio: float, share: float) -> Logs:
    """Returns the logs of: probability of a person's variant, given their outcome, over its share.

    The limit at an overall rate of 0 takes only converted people into account.
    """
    if not overall:
        spread = math.log(1 - share + share * math.exp(log_odds_ratio))
        return (-spread, 0.0, log_odds_ratio - spread, 0.0)
    rates = rates_of(overall, log_odds_ratio, share)
    stayed = 1 - rates.overall
    return (
        math.log(rates.control / rates.overall),
        math.log((1 - rates.control) / stayed),
        math.log(rates.variant / rates.overall),
        math.log((1 - rates.variant) / stayed),
    )


Component = tuple[float, float, float, float, float]
"""The log of a weight, and the logs of one person."""


@lru_cache(maxsize=256)
def components(share: float, plan: ExperimentPlan, sign: int) -> tuple[Component, ...]:
    """Returns the weighted differences in favour of the variant (sign 1) or of control (-1).

    The weights sum to 1. share: of the variant among the people of control and variant.
    """
    return tuple(
        (math.log(of_rate * of_size), *logs_of(rate, sign * size, share))
        for rate, of_rate in _rates(plan)
        for size, of_size in _sizes(plan)
    )


def _rates(plan: ExperimentPlan) -> list[tuple[float, float]]:
    if plan.rate is None:
        return list(_RATES)
    return [(plan.rate, _PLANNED), *((rate, (1 - _PLANNED) * part) for rate, part in _RATES)]


def _sizes(plan: ExperimentPlan) -> list[tuple[float, float]]:
    count = round(math.log(_LARGEST / _SMALLEST) / math.log(_STEP)) + 1
    sizes = [_SMALLEST * _STEP**index for index in range(count)]
    parts = [math.exp(-0.5 * (math.log(size / _TYPICAL) / _SPREAD) ** 2) for size in sizes]
    total = sum(parts)
    usual = [(size, part / total) for size, part in zip(sizes, parts, strict=True)]
    if plan.lift is None:
        return usual
    size = plan.log_odds_ratio()
    named = [(size / _STEP, 0.25), (size, 0.5), (size * _STEP, 0.25)]
    return [
        *((size, _PLANNED * part) for size, part in named),
        *((size, (1 - _PLANNED) * part) for size, part in usual),
    ]
