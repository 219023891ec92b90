"""Holds learned hours and channels of a campaign against their holdouts.

The groups are drawn by a hash among the people of whom enough is known, so they differ by what the
model chose alone. They are compared once all of them had their time: before that, the learned are
handed over at other hours than the holdout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from notifications.domain.campaigns.lifecycle import CampaignStatus
from notifications.domain.experiments.decision import Comparison, Conclusion, decide
from notifications.domain.experiments.proportions import Arm
from notifications.domain.learning.choice import LearningPlace
from notifications.domain.learning.labels import PREFIX, labels_with
from notifications.features.campaigns.learned.schemas import (
    CampaignLearning,
    LearningArm,
    LearningEffect,
)
from notifications.features.experiments.counting import Exposures, count_arms
from notifications.infra.conf import environment
from notifications.models import Campaign

WINDOW = timedelta(days=3)
"""For how long after its hand-over a message may be engaged with."""
_PARTS = 100
_UNJUDGED = {CampaignStatus.COMPLETED: "", CampaignStatus.CANCELLED: "cancelled"}
_P = LearningPlace
_WORDS = {
    "open": "The campaign is still being sent. The groups are compared once all had their time.",
    "helps": "Learning helps: the learned engage more often than the holdout.",
    "harms": "Learning harms: the learned engage less often than the holdout.",
    "unclear": "The difference may be chance.",
    "cancelled": "The campaign was cancelled: not all had their time, so the groups differ.",
    "mismatch": "The groups do not have the sizes that they should have. Look for the cause.",
}


def campaign_learning(campaign: Campaign, *, now: datetime) -> CampaignLearning | None:
    """Returns what learning did to a campaign until now; None where nothing is learned."""
    if not campaign.learns:
        return None
    return CampaignLearning(
        send_time=_effect(campaign, "time", now=now) if campaign.send_time else None,
        channel_choice=_effect(campaign, "channel", now=now) if campaign.channel_choice else None,
    )


def _effect(campaign: Campaign, what: str, *, now: datetime) -> LearningEffect:
    subject = str(campaign.pk)
    counts = count_arms(
        {place.value: labels_with(subject, **{what: place}) for place in _P},
        prefix=f"{PREFIX}{subject}:",
        window=WINDOW,
        with_opens=environment().learning_from == "opens",
        now=now,
    )
    arms = {place.value: counts[place.value].arm() for place in (_P.HOLDOUT, _P.LEARNED)}
    held = max(1, round(campaign.learning_holdout_percent * _PARTS))
    weights = {_P.HOLDOUT.value: held, _P.LEARNED.value: 100 * _PARTS - held}
    found = decide(arms, weights, control=_P.HOLDOUT.value)
    (comparison,) = found.comparisons
    verdict = _UNJUDGED.get(CampaignStatus(campaign.status), "open")
    verdict = verdict or _verdict(found.conclusion, comparison)
    return LearningEffect(
        **_shown(counts),
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


def _shown(counts: Mapping[str, Exposures]) -> dict[str, Any]:
    return {name: _arm(exposures.arm()) for name, exposures in counts.items()}


def _arm(found: Arm) -> LearningArm:
    return LearningArm(users=found.people, engaged=found.conversions, rate=found.rate)
