"""Releases the rest of a campaign, once its A/B test is decided.

Test, rest and campaign change in one transaction under the lock of the campaign. So a process may
die at any instant, and the rest is released once, with one variant.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import transaction

from notifications.domain.broadcast_lifecycle import BroadcastStatus
from notifications.domain.callers import SYSTEM
from notifications.domain.campaigns.lifecycle import CampaignStatus
from notifications.domain.campaigns.variants import CampaignPart, CampaignTestPlan
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.features.campaigns.entries import recorded, write_audit_entry
from notifications.features.campaigns.variants.plan import ab_test_of, end_if_live
from notifications.features.experiments.results import figures_of
from notifications.features.experiments.winners import LOOK_EVERY
from notifications.models import (
    ABTestEnd,
    ABTestStatus,
    Broadcast,
    Campaign,
    NotificationABTest,
    change_broadcast_status,
)

log = structlog.get_logger("carillon.campaigns")


@dataclass(frozen=True, slots=True)
class RestDecision:
    """Why a test ends now. winner: empty where none is known."""

    winner: str
    why: str


def release_rest(campaign_id: int, *, now: datetime) -> bool:
    """Ends the test of a campaign if it may be decided, and releases the rest.

    Returns whether this call released it. Where a person ended the test, their winner counts.

    Raises:
        InvalidRequest: unknown_ab_test, where the test was deleted.
    """
    campaign = Campaign.objects.get(pk=campaign_id)
    plan, began = campaign.test_plan, campaign.started_at
    if plan is None or began is None or campaign.rest_released_at is not None:
        return False
    test = _test_or_raise(campaign)
    decision = None
    if test.status != ABTestStatus.COMPLETED:
        decision = _decide(test, plan, began=began, now=now)
        if decision is None:
            return False
    with transaction.atomic():
        row = Campaign.locked(campaign_id)
        if row.status != CampaignStatus.RUNNING or not row.placed_done:
            return False
        if row.rest_released_at is not None:
            return False  # another process has released it
        if decision is not None:
            end_if_live(
                test.pk,
                action="ab-test.decided",
                by=ABTestEnd.AUTOMATIC,
                winner=decision.winner,
                why=decision.why,
                now=now,
            )
        _release(row, _test_or_raise(row), now=now)
    log.info("campaign.rest_released", campaign=campaign_id)
    return True


def _test_or_raise(campaign: Campaign) -> NotificationABTest:
    test = ab_test_of(campaign)
    if test is None:
        detail = "the A/B test of the campaign was deleted: cancel the campaign"
        raise InvalidRequest([FieldError("ab_test", "unknown_ab_test", detail)], detail)
    return test


def _decide(
    test: NotificationABTest, plan: CampaignTestPlan, *, began: datetime, now: datetime
) -> RestDecision | None:
    """Returns the decision by the figures; None where it is not time, or they do not suffice.

    Only the sequential rule names a winner, and a sample-ratio mismatch names none.
    """
    late = now >= plan.deadline(began)
    fresh = test.looked_at is not None and test.looked_at > now - LOOK_EVERY
    if not late and (fresh or not plan.may_decide(now, began=began)):
        return None
    found = figures_of(test, now=now).decision
    if found.winner is not None:
        return RestDecision(found.winner, found.explanation)
    if not found.safe_to_stop and not late:
        # Stored only then: a process that dies before the release must not delay it.
        NotificationABTest.objects.filter(pk=test.pk).update(looked_at=now)
        return None
    reason = "" if found.safe_to_stop else "No winner was known at the deadline. "
    return RestDecision("", f"{reason}The rest gets {plan.first}. {found.explanation}")


def _release(row: Campaign, test: NotificationABTest, *, now: datetime) -> None:
    """Schedules the rest for now, with the variant that the test serves since it ended."""
    before = recorded(row)
    version = test.settings["versions"][test.served["name"]]
    for each in Broadcast.objects.filter(campaign=row, part=CampaignPart.REST).only("pk"):
        values = {"template_version_id": version, "scheduled_at": now}
        change_broadcast_status(each.pk, BroadcastStatus.SCHEDULED, values=values)
    row.store(rest_released_at=now)
    reason = f"the rest gets {test.served['name']}"
    write_audit_entry(SYSTEM, "release", row, now=now, reason=reason, before=before)
