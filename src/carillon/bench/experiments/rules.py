"""The rules that are compared: the shipped one, and the one that is usual elsewhere.

A rule is asked at each look, and answers the first look at which it names a winner.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from carillon.bench.experiments.arrivals import Look
from notifications.domain.experiments.evidence import evidence_of, log_of_direction, log_ratio
from notifications.domain.experiments.prior import ExperimentPlan
from notifications.domain.experiments.sample_ratio import LEVEL as RATIO_LEVEL
from notifications.domain.experiments.sample_ratio import sample_ratio

LEVEL = 0.05
_LOG_BOTH = math.log(2 / LEVEL)
_LOG_ONE = math.log(1 / LEVEL)
_TUNED_FOR = 5_000
"""People for which the asymptotic confidence sequence is narrowest, as GrowthBook's default."""
_ENOUGH = 10


Ceilings = tuple[float, float]
"""What the log evidence of better and of worse cannot exceed."""


def ceilings_of(look: Look, share: float) -> Ceilings:
    """Returns the evidence of the best-fitting difference in each direction.

    The evidence is a weighted mean of likelihood ratios, all of one direction: the variant has
    more of the converted people, and less of the others. Most looks need no more than this.
    """
    one, two, three, four = look
    converted, stayed = _best(one, three, share), _best(two, four, share)
    more = three > share * (one + three)
    less = four < share * (two + four)
    return (
        (converted if more else 0.0) + (stayed if less else 0.0),
        (0.0 if more else converted) + (0.0 if less else stayed),
    )


def _best(control: int, variant: int, share: float) -> float:
    """Returns the largest log likelihood ratio of a share of the variant against `share`."""
    total, found = control + variant, 0.0
    if control:
        found += control * math.log(control / (total * (1 - share)))
    if variant:
        found += variant * math.log(variant / (total * share))
    return found


def first_winner(
    looks: Sequence[Look], ceilings: Sequence[Ceilings], share: float, plan: ExperimentPlan
) -> int | None:
    """Returns the first look with a winner by the shipped rule."""
    for index, (better, worse) in enumerate(ceilings):
        if better < _LOG_BOTH and worse < _LOG_BOTH:
            continue
        for sign, most in ((1, better), (-1, worse)):
            if most >= _LOG_BOTH and (
                log_of_direction(looks[index], share=share, plan=plan, sign=sign) >= _LOG_BOTH
            ):
                return index
    return None


def misses(
    looks: Sequence[Look],
    ceilings: Sequence[Ceilings],
    share: float,
    plan: ExperimentPlan,
    log_odds_ratio: float,
) -> bool:
    """Whether the confidence sequence of the lift ever excludes the true one."""
    for look, most in zip(looks, ceilings, strict=True):
        converted = look[0] + look[2]
        if not converted:
            continue
        overall = (converted + 0.5) / (sum(look) + 1)
        true = log_ratio(look, overall, log_odds_ratio, share)
        if max(most) - true < _LOG_ONE:
            continue
        if evidence_of(look, share=share, plan=plan).log_value - true >= _LOG_ONE:
            return True
    return False


def first_mismatch(looks: Sequence[Look], share: float) -> int | None:
    """Returns the first look at which the group sizes contradict the weights."""
    for index, (one, two, three, four) in enumerate(looks):
        people = (one + two, three + four)
        if _best(*people, share) < -math.log(RATIO_LEVEL):
            continue
        if sample_ratio(people, (1 - share, share)).mismatch:
            return index
    return None


def first_guarded(looks: Sequence[Look], *, tuned_for: int = _TUNED_FOR) -> int | None:
    """Returns the first look with a winner by the usual rule, both halves at half of the level.

    From ten conversions in the smaller arm: the asymptotic confidence sequence of the difference
    (Waudby-Smith et al. 2021). Below: the 2x2 safe test of Turner et al., look by look, with the
    beta(0.18) prior. tuned_for: the people for which the sequence is narrowest.
    """
    log_value, before = 0.0, (0, 0, 0, 0)
    for index, look in enumerate(looks):
        if min(look[0], look[2]) >= _ENOUGH:
            if _excludes_zero(look, LEVEL / 2, tuned_for):
                return index
            continue
        log_value += _safe_step(before, look)
        before = look
        if log_value >= _LOG_BOTH:
            return index
    return None


def _excludes_zero(look: Look, level: float, tuned_for: int) -> bool:
    one, two, three, four = look
    control, variant, people = one + two, three + four, sum(look)
    first, second = one / control, three / variant
    variance = people * (first * (1 - first) / control + second * (1 - second) / variant)
    tuned = (-2 * math.log(level) + math.log(-2 * math.log(level) + 1)) / tuned_for
    spread = people * tuned + 1
    width = 2 * spread / (people**2 * tuned) * math.log(math.sqrt(spread) / level)
    return abs(second - first) > math.sqrt(variance * width)


def _safe_step(before: Look, look: Look, prior: float = 0.18) -> float:
    """Returns the log e-value of one look's people, given those before."""
    one, two, three, four = (now - then for now, then in zip(look, before, strict=True))
    if not (one + two) or not (three + four):
        return 0.0
    control = (before[0] + prior) / (before[0] + before[1] + 2 * prior)
    variant = (before[2] + prior) / (before[2] + before[3] + 2 * prior)
    both = ((one + two) * control + (three + four) * variant) / (one + two + three + four)
    converted = one * math.log(control / both) + three * math.log(variant / both)
    stayed = two * math.log((1 - control) / (1 - both)) + four * math.log(
        (1 - variant) / (1 - both)
    )
    return converted + stayed
