"""Finds the unfinished campaigns, series and broadcasts that name a mailing list."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TypeVar

from django.db.models import Model, QuerySet

from directory.audiences import (
    AudienceError,
    Rule,
    lists_named,
    parse_audience,
    parse_target,
)
from directory.models import SubscriberList
from notifications.domain.broadcast_lifecycle import BroadcastStatus
from notifications.domain.campaigns.lifecycle import CampaignStatus
from notifications.domain.series.lifecycle import MailSeriesStatus, SeriesTrigger
from notifications.models import Broadcast, Campaign, MailSeries

Row = TypeVar("Row", bound=Model)
MOST_NAMED = 5
"""How many of them an error names."""
_PAGE = 200
_UNFINISHED = [
    BroadcastStatus.DRAFT.value,
    BroadcastStatus.AWAITING_APPROVAL.value,
    BroadcastStatus.SCHEDULED.value,
    BroadcastStatus.SENDING.value,
    BroadcastStatus.PAUSED.value,
]
_OPEN = [
    CampaignStatus.DRAFT.value,
    CampaignStatus.SCHEDULED.value,
    CampaignStatus.RUNNING.value,
    CampaignStatus.PAUSED.value,
]
_NOT_ENDED = [
    MailSeriesStatus.DRAFT.value,
    MailSeriesStatus.LIVE.value,
    MailSeriesStatus.PAUSED.value,
]


def uses_of(found: SubscriberList) -> list[str]:
    """Returns what would fail without a list, in words: a few campaigns, series and broadcasts.

    Broadcasts of campaigns are left out: their campaigns are named.
    """
    names = [f"campaign {row.name!r} ({row.uuid})" for row in _campaigns(found)]
    names += [f"series {row.name!r} ({row.uuid})" for row in _series(found)]
    names += [f"broadcast {row.pk}" for row in _broadcasts(found)]
    return names


def _campaigns(found: SubscriberList) -> Iterator[Campaign]:
    rows = Campaign.objects.filter(status__in=_OPEN)
    return islice((row for row in _all_of(rows) if _uses(row, found)), MOST_NAMED)


def _uses(campaign: Campaign, found: SubscriberList) -> bool:
    """Returns whether a campaign names a list, or sends to it at present."""
    if campaign.placed_done:
        rows = campaign.broadcasts.filter(list_id=found.pk, status__in=_UNFINISHED)
        return rows.exists()
    excluded = [{"rule": "segment", "segment_id": key} for key in campaign.exclude]
    for data in (campaign.audience, *excluded):
        try:
            rule = parse_audience(data)
        except AudienceError:
            continue  # it cannot begin with it
        if _names(rule, found, campaign.segment_criteria):
            return True
    return False


def _series(found: SubscriberList) -> QuerySet[MailSeries]:
    """Returns series whose people would all leave them: none is on the list any more."""
    rows = MailSeries.objects.filter(status__in=_NOT_ENDED, trigger=SeriesTrigger.LIST.value)
    return rows.filter(list_id=found.pk).order_by("pk")[:MOST_NAMED]


def _broadcasts(found: SubscriberList) -> Iterator[Broadcast]:
    """Yields broadcasts to the list, and those whose audience is not written yet and names it."""
    rows = Broadcast.objects.filter(status__in=_UNFINISHED, campaign__isnull=True)
    rows = rows.defer("error_log", "message")
    return islice((row for row in _all_of(rows) if _is_for(row, found)), MOST_NAMED)


def _all_of(rows: QuerySet[Row]) -> Iterator[Row]:
    """Yields all rows by rising key, a page a statement."""
    after = 0
    while page := list(rows.filter(pk__gt=after).order_by("pk")[:_PAGE]):
        yield from page
        after = page[-1].pk


def _is_for(broadcast: Broadcast, found: SubscriberList) -> bool:
    if broadcast.list_id == found.pk:
        return True
    if broadcast.snapshot_done:
        return False
    try:
        if broadcast.target_group == Broadcast.TargetGroup.COMPOSED:
            rule = parse_audience(broadcast.target_filter)
        else:
            rule = parse_target(broadcast.target_group, broadcast.target_filter)
    except AudienceError:
        return False
    return _names(rule, found, {})


def _names(rule: Rule, found: SubscriberList, segments: dict[str, object]) -> bool:
    return not {found.pk, found.uuid}.isdisjoint(lists_named(rule, segments=segments))
