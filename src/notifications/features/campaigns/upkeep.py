"""The periodic work of campaigns: begins due ones, places audiences, ends those that are sent.

Any process may do it, at any time; another process may continue what one began.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial

import structlog
from django.db import transaction
from django.db.models import Q, QuerySet

from notifications.domain.broadcast_lifecycle import BroadcastStatus
from notifications.domain.campaigns.lifecycle import CampaignStatus
from notifications.domain.campaigns.variants import CampaignPart
from notifications.domain.errors import InvalidRequest
from notifications.features.background.items import Items, Rotation
from notifications.features.campaigns import actions
from notifications.features.campaigns.placing import begin_due_now, place_audience
from notifications.features.campaigns.variants.rest import release_rest
from notifications.infra import clock
from notifications.models import Broadcast, Campaign, ItemFault, Work

_AT_ONCE = 100
_running = Rotation(_AT_ONCE)
_B = BroadcastStatus
_HALTED = frozenset({_B.DRAFT, _B.PAUSED})
_HANDED_OVER = frozenset({_B.SENT, _B.COMPLETED, _B.FAILED, _B.CANCELLED})
log = structlog.get_logger("carillon.campaigns")


def due_campaigns(now: datetime) -> QuerySet[Campaign]:
    """Returns the scheduled campaigns whose time has come."""
    return Campaign.objects.filter(status=CampaignStatus.SCHEDULED.value, begins_at__lte=now)


def running_campaigns() -> QuerySet[Campaign]:
    """Returns the campaigns that are running."""
    return Campaign.objects.filter(status=CampaignStatus.RUNNING.value)


def maintain_campaigns(*, now: datetime, seconds: float = 5.0) -> dict[str, int]:
    """Runs one round of about `seconds`; the next round does the rest."""
    until = clock.monotonic() + seconds
    items = Items(Work.CAMPAIGN, now=now, failed=_failed)
    due = items.runnable(due_campaigns(now)).order_by("begins_at").values_list("pk", flat=True)
    begun = sum(
        items.run_one(key, partial(_begin_one, key, now=now), default=0) for key in due[:_AT_ONCE]
    )
    keys = _running.next(items.runnable(running_campaigns()))
    ended = 0
    for place, key in enumerate(keys):
        at = clock.monotonic()
        share = max(0.0, until - at) / (len(keys) - place)
        work = partial(_go_on, key, now=now, until=at + share)
        ended += items.run_one(key, work, default=0)
    return {"begun": begun, "ended": ended}


def _failed(campaign_id: int, fault: ItemFault) -> None:
    """Shows in a campaign why its last round failed, and when it is tried again."""
    at = fault.next_at.isoformat(timespec="seconds")
    error = f"attempt {fault.tries} failed: {fault.error}, trace {fault.trace}; next at {at}"
    live = [CampaignStatus.SCHEDULED.value, CampaignStatus.RUNNING.value]
    Campaign.objects.filter(pk=campaign_id, status__in=live).update(error=error[:500])


def _begin_one(campaign_id: int, *, now: datetime) -> int:
    """Begins a due campaign. One that cannot begin becomes a draft again, with the reason."""
    with transaction.atomic():
        row = actions.locked_campaign(campaign_id)
        if row.status != CampaignStatus.SCHEDULED or row.begins_at is None or row.begins_at > now:
            return 0  # another process has begun it, or it was changed
        try:
            actions.start(row, now=now)
        except InvalidRequest as error:
            row.become(CampaignStatus.DRAFT, begins_at=None, error=error.detail[:500])
            log.error("campaign.held", campaign=campaign_id, code=error.code)
            return 0
    return int(row.status == CampaignStatus.RUNNING)


def _go_on(campaign_id: int, *, now: datetime, until: float) -> int:
    """Places the audience of a running campaign, or ends it; returns 1 where it ended."""
    try:
        if not place_audience(campaign_id, until=until) or _pause_if_halted(campaign_id):
            return 0
        release_rest(campaign_id, now=now)
        begin_due_now(campaign_id, now=now, until=until)
    except InvalidRequest as error:
        _halt(campaign_id, error.detail)
        return 0
    ended = end_if_sent(campaign_id, now=now)
    running_campaigns().filter(pk=campaign_id).exclude(error="").update(error="")
    return int(ended)


def _halt(campaign_id: int, reason: str) -> None:
    """Pauses a campaign that cannot continue, with the reason, for a person to fix."""
    with transaction.atomic():
        row = actions.locked_campaign(campaign_id)
        if row.status == CampaignStatus.RUNNING:
            actions.pause(row, error=reason)
            log.error("campaign.held", campaign=campaign_id)


def end_if_sent(campaign_id: int, *, now: datetime) -> bool:
    """Completes a campaign of which everything was handed over; returns whether it did.

    Where one of its broadcasts could not go on, the campaign is paused with the reason.
    """
    if not _is_over(_states_of(campaign_id)):
        return False  # most rounds end here, without a lock
    with transaction.atomic():
        row = actions.locked_campaign(campaign_id)
        if row.status != CampaignStatus.RUNNING or not row.placed_done:
            return False
        states = _states_of(campaign_id)
        if _pause_halted(row, states):
            return False
        if row.ab_test and row.rest_released_at is None:
            return False
        if not _HANDED_OVER.issuperset(states.values()):
            return False
        return row.become(CampaignStatus.COMPLETED, completed_at=now)


def _pause_if_halted(campaign_id: int) -> bool:
    """Pauses a running campaign of which a broadcast could not go on; returns whether it did.

    This comes before the decision of its A/B test: a test that was not sent decides nothing.
    """
    if _HALTED.isdisjoint(_states_of(campaign_id).values()):
        return False
    with transaction.atomic():
        row = actions.locked_campaign(campaign_id)
        if row.status != CampaignStatus.RUNNING or not row.placed_done:
            return False
        return _pause_halted(row, _states_of(campaign_id))


def _pause_halted(row: Campaign, states: Mapping[int, str]) -> bool:
    halted = [key for key, status in states.items() if status in _HALTED]
    if halted:
        actions.pause(row, error=_reason_of(halted[0]))
    return bool(halted)


def _states_of(campaign_id: int) -> dict[int, str]:
    """Returns the states of the broadcasts of a campaign, without a rest that waits."""
    waits = Q(part=CampaignPart.REST, campaign__rest_released_at__isnull=True)
    rows = Broadcast.objects.filter(campaign=campaign_id).exclude(waits)
    return dict(rows.values_list("pk", "status"))


def _is_over(states: Mapping[int, str]) -> bool:
    """Returns whether everything was handed over, or something could not go on."""
    found = set(states.values())
    return not _HALTED.isdisjoint(found) or _HANDED_OVER.issuperset(found)


def _reason_of(broadcast_id: int) -> str:
    """Returns the last error of the log of a broadcast that could not go on."""
    entries = Broadcast.objects.get(pk=broadcast_id).error_log
    whole = [entry for entry in entries if entry.get("recipient_id") is None]
    return str(whole[-1].get("error", "")) if whole else "one of its broadcasts was paused"
