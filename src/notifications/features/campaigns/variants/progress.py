"""Shows how far the A/B test inside a campaign has come."""

from __future__ import annotations

from datetime import datetime

from notifications.features.campaigns.variants.plan import ab_test_of
from notifications.features.campaigns.variants.schemas import (
    CampaignABTestProgress,
    CampaignVariantCounts,
)
from notifications.features.experiments.results import figures_of
from notifications.models import ABTestStatus, Campaign


def ab_test_progress(campaign: Campaign, *, now: datetime) -> CampaignABTestProgress | None:
    """Returns the counts and the decision of a campaign's test until now; None without one."""
    plan, test = campaign.test_plan, ab_test_of(campaign)
    if plan is None or test is None or campaign.started_at is None:
        return None
    figures = figures_of(test, now=now)
    ended = test.status == ABTestStatus.COMPLETED
    return CampaignABTestProgress(
        ab_test_id=test.pk,
        status=test.status,
        deadline=plan.deadline(campaign.started_at),
        variants=[
            CampaignVariantCounts(
                variant=name,
                exposures=arm.people,
                conversions=arm.conversions,
                rate=arm.rate,
            )
            for name, arm in figures.arms.items()
        ],
        safe_to_stop=figures.decision.safe_to_stop,
        explanation=test.conclusion if ended else figures.decision.explanation,
        winner=test.winner_variant or None,
        ended_by=test.ended_by,
        rest_variant=str(test.served["name"]) if ended else None,
        rest_released_at=campaign.rest_released_at,
    )
