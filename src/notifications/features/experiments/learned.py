"""Holds learned hours and channels against their holdouts.

The groups are drawn by a hash among the people of whom enough is known, so they differ by what the
model chose alone. They are compared once all of them had their time: before that, the learned are
handed over at other hours than the holdout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from notifications.domain.experiments.decision import Comparison, Conclusion, decide
from notifications.domain.learning.choice import LearningPlace
from notifications.domain.learning.labels import PREFIX
from notifications.features.experiments.counting import Exposures, count_arms
from notifications.features.learning.schemas import LearningArm, LearningEffect
from notifications.infra.conf import environment

WINDOW = timedelta(days=3)
"""For how long after its hand-over a message may be engaged with."""
_PARTS = 100
_P = LearningPlace
_WORDS = {
    "open": "It is still being sent. The groups are compared once all had their time.",
    "helps": "Learning helps: the learned engage more often than the holdout.",
    "harms": "Learning harms: the learned engage less often than the holdout.",
    "unclear": "The difference may be chance.",
    "cancelled": "The campaign was cancelled: not all had their time, so the groups differ.",
    "mismatch": "The groups do not have the sizes that they should have. Look for the cause.",
}


class LearningTrial(NamedTuple):
    """What is compared: the labels of each place, and the size of the holdout.

    unjudged: the verdict where the groups cannot be compared: `open` or `cancelled`; else empty.
    """

    labels: Mapping[LearningPlace, Sequence[str]]
    holdout_percent: float
    unjudged: str


def learning_effects(
    trials: Mapping[str, LearningTrial], *, subject: str, now: datetime
) -> dict[str, LearningEffect]:
    """Returns the effect of each trial. No label is in two of them.

    subject: that with which all labels begin.
    """
    if not trials:
        return {}
    arms = {
        f"{place}:{name}": labels
        for name, trial in trials.items()
        for place, labels in trial.labels.items()
    }
    counts = count_arms(
        arms,
        prefix=f"{PREFIX}{subject}",
        window=WINDOW,
        with_opens=environment().learning_from == "opens",
        now=now,
    )
    return {
        name: _effect(trial, {place: counts[f"{place}:{name}"] for place in _P})
        for name, trial in trials.items()
    }


def _effect(trial: LearningTrial, counts: Mapping[LearningPlace, Exposures]) -> LearningEffect:
    arms = {place.value: counts[place].arm() for place in (_P.HOLDOUT, _P.LEARNED)}
    held = max(1, round(trial.holdout_percent * _PARTS))
    weights = {_P.HOLDOUT.value: held, _P.LEARNED.value: 100 * _PARTS - held}
    found = decide(arms, weights, control=_P.HOLDOUT.value)
    (comparison,) = found.comparisons
    verdict = trial.unjudged or _verdict(found.conclusion, comparison)
    return LearningEffect(
        learned=_arm(counts[_P.LEARNED]),
        holdout=_arm(counts[_P.HOLDOUT]),
        start=_arm(counts[_P.START]),
        verdict=verdict,
        **_lift(comparison),
        p_value=comparison.p_value,
        explanation=_WORDS[verdict],
    )


def _verdict(conclusion: Conclusion, comparison: Comparison) -> str:
    if conclusion is Conclusion.MISMATCH:
        return "mismatch"
    if comparison.is_better:
        return "helps"
    return "harms" if comparison.is_worse else "unclear"


def _lift(found: Comparison) -> dict[str, Any]:
    interval = found.lift_interval
    high = interval.high if interval and not math.isinf(interval.high) else None
    low = interval.low if interval else None
    return {"lift": found.lift, "lift_low": low, "lift_high": high}


def _arm(exposures: Exposures) -> LearningArm:
    found = exposures.arm()
    return LearningArm(users=found.people, engaged=found.conversions, rate=found.rate)
