"""Builds the response that shows a campaign."""

from __future__ import annotations

from uuid import UUID

import msgspec

from notifications.features.campaigns.schemas import CampaignResponse
from notifications.features.campaigns.variants.schemas import CampaignABTestBody
from notifications.features.learning.options import GIVEN, SCHEDULED
from notifications.models import Campaign

_SAME = (
    "name",
    "description",
    "status",
    "approval",
    "needs_approval",
    "audience",
    "template_path",
    "context",
    "category",
    "channels",
    "delivery",
    "priority",
    "scheduled_at",
    "local_time",
    "late_zones",
    "begins_at",
    "per_minute",
    "holdout_percent",
    "send_window_hours",
    "send_at_night",
    "learning_holdout_percent",
    "rest_released_at",
    "track_opens",
    "track_clicks",
    "utm",
    "review_note",
    "error",
    "created_at",
    "updated_at",
    "started_at",
    "completed_at",
)
"""Columns that responses show under the same names."""


def campaign_response(row: Campaign) -> CampaignResponse:
    """Returns a campaign as responses show it."""
    return CampaignResponse(
        id=row.uuid,
        key=row.pk,
        exclude=[UUID(str(key)) for key in row.exclude],
        created_by=row.created_by_id,
        approved_by=row.approved_by_id,
        estimated_recipients=row.audience_count,
        send_time=row.send_time or SCHEDULED,
        channel_choice=row.channel_choice or GIVEN,
        ab_test=msgspec.convert(row.ab_test, CampaignABTestBody) if row.ab_test else None,
        **{name: getattr(row, name) for name in _SAME},
    )
