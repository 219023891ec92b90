"""Two proportions at one look: z-test, lift and intervals, for a number of people fixed before.

These figures are the documented ones of `calculate_test_results`. A reader who looks often
and stops at the first small p-value errs in up to 70 % of tests: `decision` says when to stop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any


@dataclass(frozen=True, slots=True)
class Arm:
    """The people of a variant who were exposed to it, and those of them who converted.

    settled: the people whose outcome is final, because they converted or because their time to
    convert is over. None: all people. Only the evidence asks for it.
    """

    people: int
    conversions: int
    settled: int | None = None

    def __post_init__(self) -> None:
        """Raises ValueError unless 0 <= conversions <= settled <= people."""
        settled = self.people if self.settled is None else self.settled
        if not 0 <= self.conversions <= settled <= self.people:
            raise ValueError(
                f"{self.conversions} conversions, {settled} settled, {self.people} people"
            )

    @property
    def unconverted(self) -> int:
        """The people who did not convert, and whose outcome is final."""
        return (self.people if self.settled is None else self.settled) - self.conversions

    @property
    def rate(self) -> float:
        """Conversions per person; 0.0 without people."""
        return self.conversions / self.people if self.people else 0.0


@dataclass(frozen=True, slots=True)
class Interval:
    """A range from `low` to `high`, both included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ZTest:
    """The two-proportion z-test of b against a, with the pooled standard error.

    difference: of the rates, b - a, with its unpooled (Wald) interval. lift: difference / rate of
    a; 0.0 where that rate is 0, as documented.
    """

    a: Arm
    b: Arm
    z_score: float
    p_value: float
    difference: float
    interval: Interval
    lift: float
    confidence_level: float

    @property
    def is_significant(self) -> bool:
        """Whether the p-value is below 1 - confidence level."""
        return self.p_value < 1 - self.confidence_level

    @property
    def winner(self) -> str | None:
        """'A' or 'B' where the difference is significant, else None."""
        if not self.is_significant:
            return None
        return "B" if self.difference > 0 else "A"

    def documented(self) -> dict[str, Any]:
        """Returns the shape that `ABTestingService.calculate_test_results` documents."""
        return {
            "variant_a": _documented_arm(self.a),
            "variant_b": _documented_arm(self.b),
            "statistical_significance": {
                "z_score": self.z_score,
                "p_value": self.p_value,
                "is_significant": self.is_significant,
                "confidence_level": self.confidence_level,
            },
            "winner": self.winner,
            "lift": self.lift,
        }


def _documented_arm(arm: Arm) -> dict[str, Any]:
    return {"rate": arm.rate, "count": arm.conversions, "total": arm.people}


def z_test(a: Arm, b: Arm, *, confidence_level: float = 0.95) -> ZTest | None:
    """Returns the test of b against a, or None where it is undefined.

    It is undefined without people in both arms, and where no one or everybody converted.
    """
    if not a.people or not b.people:
        return None
    pooled = (a.conversions + b.conversions) / (a.people + b.people)
    pooled_error = math.sqrt(pooled * (1 - pooled) * (1 / a.people + 1 / b.people))
    if not pooled_error:
        return None
    difference = b.rate - a.rate
    z_score = difference / pooled_error
    error = math.sqrt(a.rate * (1 - a.rate) / a.people + b.rate * (1 - b.rate) / b.people)
    margin = two_sided_z(confidence_level) * error
    return ZTest(
        a=a,
        b=b,
        z_score=z_score,
        p_value=math.erfc(abs(z_score) / math.sqrt(2)),
        difference=difference,
        interval=Interval(difference - margin, difference + margin),
        lift=difference / a.rate if a.rate else 0.0,
        confidence_level=confidence_level,
    )


def wilson_interval(arm: Arm, *, confidence_level: float = 0.95) -> Interval:
    """Returns the Wilson score interval of a rate; 0 to 1 without people (Wilson 1927)."""
    if not arm.people:
        return Interval(0.0, 1.0)
    z = two_sided_z(confidence_level)
    n, p = arm.people, arm.rate
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    margin = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low = centre - margin if arm.conversions else 0.0
    high = centre + margin if arm.conversions < n else 1.0
    return Interval(low, high)


def two_sided_z(confidence_level: float) -> float:
    """Returns the z-score that a two-sided interval of this level reaches: 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + confidence_level / 2)
