"""Pages of the recipients of a campaign, and of those who are held out."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import merge
from itertools import islice

from directory.models import User
from notifications.features.broadcasts.queries import display_name
from notifications.features.campaigns.report_schemas import HELD_OUT, CampaignRecipientResponse
from notifications.models import Broadcast, BroadcastRecipient, Campaign, CampaignHoldout


def recipients_of(
    campaign: Campaign, *, status: str = "", after: int = 0, limit: int = 50
) -> list[CampaignRecipientResponse]:
    """Returns recipients above the user id `after`, by rising id: all, or those of one state.

    Those of `held_out` are listed only where that is asked for.
    """
    if status == HELD_OUT:
        held = CampaignHoldout.objects.filter(campaign=campaign, user_id__gt=after)
        keys = held.order_by("user_id").values_list("user_id", flat=True)[:limit]
        people = User.objects.in_bulk(keys)
        return [_held_out(people[key]) for key in sorted(people)]
    rows = _rows(campaign, status, after, limit)
    people = User.objects.in_bulk([row.recipient_id for row in rows])
    return [_response(row, people.get(row.recipient_id)) for row in rows]


def _rows(campaign: Campaign, status: str, after: int, limit: int) -> Sequence[BroadcastRecipient]:
    """Returns a page of rows. Each broadcast is read by its own index; the pages are merged."""
    pages = []
    for key in Broadcast.objects.filter(campaign=campaign).values_list("pk", flat=True):
        rows = BroadcastRecipient.objects.filter(broadcast_id=key, recipient_id__gt=after)
        rows = rows.filter(state=status) if status else rows
        pages.append(rows.order_by("recipient_id")[:limit])
    found = merge(*pages, key=lambda row: row.recipient_id)
    return list(islice(found, limit))


def _response(row: BroadcastRecipient, person: User | None) -> CampaignRecipientResponse:
    return CampaignRecipientResponse(
        user_id=row.recipient_id,
        user_name=display_name(person),
        email=person.email if person else "",
        status=row.state,
        channels=row.channel_states or {},
        error_message=row.error or row.telegram_error or None,
        sent_at=row.sent_at,
    )


def _held_out(person: User) -> CampaignRecipientResponse:
    return CampaignRecipientResponse(
        user_id=person.pk,
        user_name=display_name(person),
        email=person.email,
        status=HELD_OUT,
        channels={},
        error_message=None,
        sent_at=None,
    )
