"""Reads how far a campaign has come: from its row and those of its broadcasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from notifications.domain.broadcast_lifecycle import BroadcastStatus, RecipientCounts
from notifications.domain.campaigns.lifecycle import CampaignStatus
from notifications.features.broadcasts.delivery.progress import Progress, progress
from notifications.features.campaigns.report_schemas import (
    CampaignCounts,
    CampaignGroupResponse,
    CampaignProgressResponse,
)
from notifications.features.campaigns.variants.progress import ab_test_progress
from notifications.models import Broadcast, Campaign

_NAMES = ("total", "sent", "failed", "suppressed", "uncertain", "cancelled")


@dataclass(frozen=True, slots=True)
class CampaignTally:
    """The counts of a campaign, and its broadcasts by the time at which they are due."""

    counts: RecipientCounts
    broadcasts: Sequence[Broadcast]

    def response(self) -> CampaignCounts:
        """Returns the counts as a response shows them."""
        return CampaignCounts(**counts_of(self.counts))


def counts_of(tally: RecipientCounts) -> dict[str, int]:
    """Returns counts by the names that responses use."""
    found = {name: getattr(tally, name) for name in _NAMES[1:]}
    return {"recipients": tally.total, "pending": max(0, tally.pending), **found}


def tally_campaign(campaign: Campaign) -> CampaignTally:
    """Returns the counts of a campaign. People who are not placed yet are pending, or cancelled."""
    rows = Broadcast.objects.filter(campaign=campaign).defer("error_log", "target_filter")
    broadcasts = list(rows.order_by("scheduled_at", "pk"))
    sums = {name: sum(getattr(each.tally, name) for each in broadcasts) for name in _NAMES}
    if campaign.started_at is not None and not campaign.placed_done:
        rest = max(0, campaign.audience_count - sums["total"] - campaign.held_out_count)
        sums["total"] += rest
        if campaign.status == CampaignStatus.CANCELLED:
            sums["cancelled"] += rest
    return CampaignTally(RecipientCounts(**sums), broadcasts)


def campaign_progress(campaign: Campaign, *, now: datetime) -> CampaignProgressResponse:
    """Returns how far a campaign has come."""
    tally = tally_campaign(campaign)
    sending = [
        progress(each.pk, now=now)
        for each in tally.broadcasts
        if each.status == BroadcastStatus.SENDING
    ]
    return CampaignProgressResponse(
        id=campaign.uuid,
        status=campaign.status,
        approval=campaign.approval,
        **counts_of(tally.counts),
        held_out=campaign.held_out_count,
        progress_pct=tally.counts.progress_pct(campaign.status),
        rate_per_second=round(sum(each.rate_per_second for each in sending), 3),
        eta_seconds=_eta(sending),
        started_at=campaign.started_at,
        completed_at=campaign.completed_at,
        groups=[
            CampaignGroupResponse(
                broadcast_id=each.pk,
                status=each.status,
                part=each.part,
                due_at=each.scheduled_at,
                **counts_of(each.tally),
            )
            for each in tally.broadcasts
        ],
        ab_test=ab_test_progress(campaign, now=now),
    )


def _eta(sending: Sequence[Progress]) -> int | None:
    """Returns the seconds until the last of the broadcasts is sent; None where one is unknown."""
    found = [each.eta_seconds for each in sending]
    if not found or None in found:
        return None
    return max(each for each in found if each is not None)
