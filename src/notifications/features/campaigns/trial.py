"""Estimates of a campaign, and a test of it that goes to the caller alone. Nothing else is sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django.db import transaction

from directory.models import User
from notifications.domain.callers import Caller
from notifications.domain.campaigns.lifecycle import EDITABLE
from notifications.domain.errors import Refused
from notifications.features.broadcasts.delivery.intents import CALLS, build_intent, split_channels
from notifications.features.broadcasts.dry_run import SECONDS, dry_run
from notifications.features.broadcasts.trial import check_reachable
from notifications.features.campaigns.actions import must_ask, wrong_status
from notifications.features.campaigns.contents import (
    broadcast_of,
    check_content_rights,
    fix_content,
    resolve_audience,
)
from notifications.features.campaigns.entries import write_audit_entry
from notifications.features.campaigns.report_schemas import (
    CampaignEstimateResponse,
    CampaignTestResponse,
)
from notifications.features.sending.refusal import predict_or_refuse
from notifications.intake.accept import SendTarget, accept
from notifications.models import Campaign

TYPE = "campaign_test"
"""The type of the notification, which distinguishes a test from the campaign."""


def estimate(
    campaign: Campaign, *, now: datetime, seconds: float = SECONDS
) -> CampaignEstimateResponse:
    """Returns what a campaign that has not begun would do. People are examined for `seconds`.

    Raises:
        Conflict: campaign_status.
        InvalidRequest: with every error of its template and audience.
    """
    if campaign.status not in EDITABLE:
        raise wrong_status("estimate", campaign)
    fix_content(campaign)
    audience = resolve_audience(campaign, now=now)
    broadcast = broadcast_of(campaign, audience, scheduled_at=campaign.scheduled_at)
    campaign.audience_count = audience.count()
    left_out = campaign.holds_out
    found = dry_run(broadcast, now=now, seconds=seconds, is_left_out=left_out).data
    found.needs_approval = must_ask(campaign)
    return CampaignEstimateResponse(
        audience=campaign.audience_count,
        held_out=max(0, campaign.audience_count - found.recipients),
        estimate=found,
    )


def send_test_to_caller(
    campaign: Campaign, *, caller: Caller, now: datetime
) -> CampaignTestResponse:
    """Sends what a campaign says to the caller, whatever its state.

    The caller's preferences apply. The test is no part of the campaign and counts nowhere in it.

    Raises:
        Refused: person_required, opted_out, category_not_allowed, missing_scope.
        InvalidRequest: with every error of its template and audience.
        Conflict: unreachable, where no channel would deliver it to the caller.
    """
    person = User.objects.filter(pk=caller.user_id).first() if caller.user_id else None
    if person is None:
        detail = "A test goes to the person who requests it, not to a key: sign in, and try again"
        raise Refused(detail, code="person_required")
    check_content_rights(campaign, fix_content(campaign), caller)
    audience = resolve_audience(campaign, now=now)
    broadcast = broadcast_of(campaign, audience, scheduled_at=campaign.scheduled_at)
    broadcast.list_id = None  # the caller need not be on the list
    channels, options = split_channels(broadcast)
    built = build_intent(broadcast, channels, options, calls=CALLS)
    terms = replace(
        built.terms, template_path=campaign.template_path, context=dict(campaign.context)
    )
    intent = replace(built, terms=terms, source=caller.source, mass=False, type=TYPE)
    target = SendTarget(person.pk, intent.terms.channels)
    seen = predict_or_refuse(intent, target, person, actor=caller.name, now=now)
    check_reachable(broadcast, person, now=now)
    with transaction.atomic():
        accepted = accept(intent, [target], now=now)
        write_audit_entry(caller, "test", campaign, now=now)
    return CampaignTestResponse(
        notification_id=UUID(accepted.uuids[0]), estimated_delivery=seen.delivery_at
    )
