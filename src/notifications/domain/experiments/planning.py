"""How many people a test needs, and for how long it runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

INFLATION = 1.6
"""People for a power of 80 % under the stop rule with a plan, per person at one fixed look.

Measured: 1.45 to 1.55 in nine cells of split and rate, by `carillon bench experiments`.
"""
INFLATION_WITHOUT_PLAN = 2.2
"""The same for tests without a plan. Measured: 1.85 to 2.19."""
MOST_PEOPLE = 10**12
"""A difference that takes more people at one look is too small to be measured."""
_MOST_DAYS = 10**9


@dataclass(frozen=True, slots=True)
class SampleSize:
    """People of all variants together.

    fixed: for the z-test, read once at the end. planned: for the stop rule, which may be read at
    any time, with a plan; unplanned: the same without one. Half of the tests with the planned
    difference end much earlier.
    """

    fixed: int
    planned: int
    unplanned: int


def sample_size(
    *,
    rate: float,
    lift: float,
    weights: Sequence[float] = (1, 1),
    level: float = 0.05,
    power: float = 0.8,
) -> SampleSize:
    """Returns the people needed to find a lift over control's rate, with this power.

    weights: control first; each other variant is tested at level / (variants - 1).
    lift: relative, may be negative. Raises ValueError where the rates are not between 0 and 1, or
    are too close to each other.
    """
    other = rate * (1 + lift)
    if not (0 < rate < 1 and 0 < other < 1 and other != rate):
        raise ValueError("The rate, and the rate with the lift, must be between 0 and 1.")
    level /= len(weights) - 1
    fixed = max(
        _people_of_pair(rate, other, weights[0], weight, level, power)
        * sum(weights)
        / (weights[0] + weight)
        for weight in weights[1:]
    )
    if fixed > MOST_PEOPLE:
        raise ValueError("The difference is too small to be measured.")
    return SampleSize(
        fixed=math.ceil(fixed),
        planned=math.ceil(fixed * INFLATION),
        unplanned=math.ceil(fixed * INFLATION_WITHOUT_PLAN),
    )


def _people_of_pair(
    control: float,
    variant: float,
    control_weight: float,
    variant_weight: float,
    level: float,
    power: float,
) -> float:
    """Returns the people of two variants for the z-test with a pooled error (Fleiss 1981)."""
    share = variant_weight / (control_weight + variant_weight)
    pooled = (1 - share) * control + share * variant
    without = math.sqrt(pooled * (1 - pooled) * (1 / (1 - share) + 1 / share))
    within = math.sqrt(control * (1 - control) / (1 - share) + variant * (1 - variant) / share)
    z = NormalDist().inv_cdf
    root = (z(1 - level / 2) * without + z(power) * within) / (variant - control)
    return root * root  # infinite where `**` would raise an error


def duration_days(
    people: int, *, people_per_day: float, traffic_percentage: float = 100.0
) -> int | None:
    """Returns the whole days until a test has had so many people; None for over a billion."""
    entering = people_per_day * traffic_percentage / 100
    days = people / entering if entering > 0 else math.inf
    return math.ceil(days) if days <= _MOST_DAYS else None
