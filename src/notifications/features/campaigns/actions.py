"""The actions on a campaign. Each is one short transaction under the lock of the campaign's row.

The locks are taken in one order: the campaign, then its broadcasts. A broadcast that begins locks
only itself and reads the campaign; a pause that comes then waits for it, and pauses it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from directory.audiences import saved_criteria
from directory.models import User
from notifications.domain.broadcast_lifecycle import CANCELLABLE, BroadcastStatus
from notifications.domain.campaigns.lifecycle import CampaignApproval, CampaignStatus
from notifications.domain.campaigns.variants import CampaignPart
from notifications.domain.channels import Priority, lane_for
from notifications.domain.errors import Conflict, InvalidRequest
from notifications.features.access.persons import check_second_person
from notifications.features.broadcasts.delivery.approval import GROWTH
from notifications.features.campaigns.contents import audience_rule, bound_values, content_of
from notifications.features.campaigns.drafts import check, check_time
from notifications.features.campaigns.variants.plan import start_test, stop_test
from notifications.infra.conf import environment
from notifications.infra.process import wakeups
from notifications.models import Broadcast, Campaign, change_broadcast_status

_S, _A = CampaignStatus, CampaignApproval
SCHEDULE, LAUNCH = "schedule", "launch"


def locked_campaign(campaign_id: int) -> Campaign:
    """Returns the row, locked until the caller's transaction ends."""
    return Campaign.locked(campaign_id)


def wrong_status(verb: str, row: Campaign) -> Conflict:
    """Returns the error that the campaign's state does not allow an action."""
    detail = f"cannot {verb} a campaign with status {row.status}"
    if row.approval == _A.REQUESTED:
        detail += ", which waits for approval"
    return Conflict(detail, code="campaign_status", status=row.status, approval=row.approval)


def must_ask(row: Campaign) -> bool:
    """Returns whether a second person must still release a campaign that was checked."""
    limit = environment().broadcast_approval_threshold
    if not row.needs_approval and not 0 < limit < row.audience_count:
        return False
    if row.approval != _A.APPROVED or row.approved_count is None:
        return True
    bound = bound_values(row, content_of(row))
    if any(getattr(row, name) != value for name, value in bound.items()):
        return True  # the template, its category or a segment was changed since
    return row.audience_count > max(limit, int(row.approved_count * GROWTH))


def schedule(row: Campaign, *, now: datetime) -> None:
    """Schedules a draft, or requests the approval that it needs.

    Raises:
        Conflict: campaign_status.
        InvalidRequest: with every error that its beginning would raise; in_the_past.
    """
    if row.status != _S.DRAFT or row.approval == _A.REQUESTED:
        raise wrong_status(SCHEDULE, row)
    begins_at = check_time(row, now=now)
    check(row, now=now)
    if must_ask(row):
        request_approval(row, SCHEDULE)
    else:
        row.become(_S.SCHEDULED, audience_count=row.audience_count, begins_at=begins_at, error="")


def launch(row: Campaign, *, now: datetime) -> None:
    """Begins a draft or scheduled campaign now, or requests the approval that it needs.

    Raises:
        Conflict: campaign_status.
        InvalidRequest: with every error of audience, template and category; no_recipients.
    """
    if row.status not in (_S.DRAFT, _S.SCHEDULED) or row.approval == _A.REQUESTED:
        raise wrong_status(LAUNCH, row)
    start(row, now=now)


def start(row: Campaign, *, now: datetime) -> None:
    """Begins a campaign whose state allows it, or requests the approval that it needs.

    Raises:
        InvalidRequest: with every error of audience, template and category; no_recipients.
    """
    content = check(row, now=now)
    if must_ask(row):
        request_approval(row, LAUNCH)
        return
    if row.test_plan is not None:
        start_test(row, row.test_plan, content.template, content.variants, now=now)
    row.become(
        _S.RUNNING,
        audience_count=row.audience_count,
        started_at=now,
        begins_at=None,
        error="",
        template_version_id=content.version_id,
        category=content.category.key,
        segment_criteria=saved_criteria(audience_rule(row)),
    )


def request_approval(row: Campaign, what: str) -> None:
    """Makes a campaign a draft that waits for approval."""
    row.store(
        status=_S.DRAFT.value,
        begins_at=None,
        approval=_A.REQUESTED.value,
        requested=what,
        audience_count=row.audience_count,
    )


def pause(row: Campaign, *, error: str = "") -> None:
    """Pauses a campaign: messages in flight arrive, no other message is sent.

    Raises:
        Conflict: campaign_status.
    """
    if not row.become(_S.PAUSED, error=error[:500]):
        raise wrong_status("pause", row)
    for each in _locked_broadcasts(row):
        if each.status == BroadcastStatus.SENDING:
            change_broadcast_status(each.pk, BroadcastStatus.PAUSED, values={"pace": []})


def resume(row: Campaign, *, now: datetime) -> None:
    """Resumes a paused campaign, from where it was.

    Raises:
        Conflict: campaign_status.
    """
    if row.status != _S.PAUSED:
        raise wrong_status("resume", row)
    row.become(_S.RUNNING, error="")
    for each in _locked_broadcasts(row):
        if each.status == BroadcastStatus.PAUSED:
            pace = [[now.timestamp(), each.tally.total - each.tally.pending]]
            change_broadcast_status(each.pk, BroadcastStatus.SENDING, values={"pace": pace})
        elif each.status == BroadcastStatus.DRAFT and row.placed_done and not waits(row, each):
            change_broadcast_status(each.pk, BroadcastStatus.SCHEDULED)
    wakeups.wake([lane_for(Priority(row.priority), mass=True)])


def cancel(row: Campaign, *, now: datetime) -> None:
    """Cancels a campaign: messages in flight arrive, no other message is sent.

    Raises:
        Conflict: campaign_status.
    """
    approval = _A.NONE.value if row.approval == _A.REQUESTED else row.approval
    values = {"completed_at": now, "begins_at": None, "approval": approval, "requested": ""}
    if not row.become(_S.CANCELLED, **values):
        raise wrong_status("cancel", row)
    stop_test(row, now=now)
    for each in _locked_broadcasts(row):
        if each.status in CANCELLABLE:
            ended: dict[str, Any] = {"completed_at": now, "cleared": False}
            change_broadcast_status(each.pk, BroadcastStatus.CANCELLED, values=ended)


def waits(row: Campaign, broadcast: Broadcast) -> bool:
    """Returns whether a broadcast waits for the decision of the campaign's A/B test."""
    return broadcast.part == CampaignPart.REST and row.rest_released_at is None


def approve(row: Campaign, *, by: User, now: datetime) -> None:
    """Releases a campaign: at its time if that is in the future, else at once.

    Raises:
        Conflict: campaign_status, where no approval is requested.
        Refused: self_approval, where `by` wrote, changed or sent it.
        InvalidRequest: as `start`.
    """
    if row.approval != _A.REQUESTED:
        raise wrong_status("approve", row)
    check_second_person("campaign", row, by=by)
    content = check(row, now=now)
    requested = row.requested
    row.store(
        **bound_values(row, content),
        approval=_A.APPROVED.value,
        approved_by=by,
        approved_count=row.audience_count,
        review_note="",
        requested="",
    )
    if requested == SCHEDULE and _is_ahead(row, now=now):
        schedule(row, now=now)
    else:
        start(row, now=now)


def _is_ahead(row: Campaign, *, now: datetime) -> bool:
    try:
        return bool(check_time(row, now=now))
    except InvalidRequest:
        return False


def reject(row: Campaign, *, note: str) -> None:
    """Returns a campaign to its author, with the reason.

    Raises:
        Conflict: campaign_status, where no approval is requested.
    """
    if row.approval != _A.REQUESTED:
        raise wrong_status("reject", row)
    row.store(approval=_A.REJECTED.value, review_note=note, requested="", approved_by=None)


def changed(row: Campaign, *, now: datetime) -> None:
    """Withdraws the approval of a campaign that was changed, and schedules it anew.

    Raises:
        InvalidRequest: in_the_past.
    """
    fresh = {"approval": _A.NONE.value, "approved_by": None, "approved_count": None}
    row.store(**fresh, requested="", error="")
    if row.status != _S.SCHEDULED:
        return
    if row.wall is None and row.scheduled_at is None:
        row.become(_S.DRAFT, begins_at=None)
        return
    begins_at = check_time(row, now=now)
    if must_ask(row):
        request_approval(row, SCHEDULE)
    else:
        row.store(begins_at=begins_at)


def _locked_broadcasts(row: Campaign) -> QuerySet[Broadcast]:
    """Returns the broadcasts of a campaign as they are once no other process changes them."""
    rows = Broadcast.objects.filter(campaign=row).defer("error_log").order_by("pk")
    return rows.select_for_update(of=("self",))
