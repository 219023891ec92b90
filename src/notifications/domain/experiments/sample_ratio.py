"""Sample-ratio mismatch: do the groups have the sizes that the weights promise?

A mismatch means that people were lost or counted twice in one variant, so that a comparison of the
variants measures that loss. The test is sequential: it may be read at any time and as often as
wanted. Source: Lindon and Malek, Anytime-Valid Inference for Multinomial Count Data (2022).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = 0.001
"""At most this share of healthy tests is ever called mismatched."""
_CONCENTRATIONS = (100.0, 10_000.0, 1_000_000.0)
"""How near to the weights the real shares may be: coarse faults show early, fine ones late."""


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """The evidence of a mismatch. p_value: valid at any look; below 0.001 it blocks a winner."""

    log_evidence: float

    @property
    def p_value(self) -> float:
        """At most 1; the probability of such evidence, at any time, in a healthy test."""
        return math.exp(-max(self.log_evidence, 0.0))

    @property
    def mismatch(self) -> bool:
        """Whether the group sizes contradict the weights."""
        return self.log_evidence >= -math.log(LEVEL)


def sample_ratio(people: Sequence[int], weights: Sequence[float]) -> SampleRatio:
    """Returns the evidence that exposed people are not divided by the weights.

    people, weights: one of each for each variant, in the same order; raises ValueError otherwise.
    The evidence is the mean of three Bayes factors, each of a Dirichlet prior around the weights.
    """
    total = sum(weights)
    shares = [weight / total for weight in weights]
    factors = [
        _log_bayes_factor(people, [concentration * share for share in shares], shares)
        for concentration in _CONCENTRATIONS
    ]
    top = max(factors)
    mean = sum(math.exp(factor - top) for factor in factors) / len(factors)
    return SampleRatio(top + math.log(mean))


def _log_bayes_factor(
    people: Sequence[int], prior: Sequence[float], shares: Sequence[float]
) -> float:
    """Returns the log of: probability of the counts under the Dirichlet prior, over the shares."""
    known = sum(prior)
    found = math.lgamma(known) - math.lgamma(known + sum(people))
    for count, weight, share in zip(people, prior, shares, strict=True):
        found += math.lgamma(weight + count) - math.lgamma(weight) - count * math.log(share)
    return found
