"""Holds learned hours and channels of a campaign against their holdouts."""

from __future__ import annotations

from datetime import datetime

from notifications.domain.campaigns.lifecycle import CampaignStatus
from notifications.domain.learning.choice import LearningPlace
from notifications.domain.learning.labels import labels_with
from notifications.features.campaigns.learned.schemas import CampaignLearning
from notifications.features.experiments.learned import LearningTrial, learning_effects
from notifications.features.learning.schemas import LearningEffect
from notifications.models import Campaign

_UNJUDGED = {CampaignStatus.COMPLETED: "", CampaignStatus.CANCELLED: "cancelled"}


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
    trial = LearningTrial(
        {place: labels_with(subject, **{what: place}) for place in LearningPlace},
        campaign.learning_holdout_percent,
        _UNJUDGED.get(CampaignStatus(campaign.status), "open"),
    )
    return learning_effects({what: trial}, subject=f"{subject}:", now=now)[what]
