"""The report of a campaign: what became of its messages, and what its holdout did without them.

Messages and engagement come from the rollups of its broadcasts, which are the sources of its
messages. Users come from the counters of the broadcasts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db.models import Count, Exists, OuterRef, QuerySet

from notifications.domain.analytics.periods import QUARTER, Grain, Span, floor_to
from notifications.domain.broadcast_lifecycle import RecipientState
from notifications.domain.experiments.proportions import Arm, z_test
from notifications.features.analytics.metrics import engagement_response, rate, rates_of, summed
from notifications.features.analytics.reading import Counts, Selection, read_counts
from notifications.features.campaigns.learned.effect import campaign_learning
from notifications.features.campaigns.progress import tally_campaign
from notifications.features.campaigns.report_schemas import (
    CampaignEffect,
    CampaignMessages,
    CampaignReportResponse,
)
from notifications.models import (
    Broadcast,
    BroadcastRecipient,
    Campaign,
    CampaignHoldout,
    Conversion,
    Goal,
)

EFFECT_LASTS = timedelta(days=30)
_OTHER = "other"


def campaign_report(campaign: Campaign, *, now: datetime) -> CampaignReportResponse:
    """Returns what became of a campaign until now."""
    tally = tally_campaign(campaign)
    channels = _messages(campaign, tally.broadcasts, now=now)
    return CampaignReportResponse(
        id=campaign.uuid,
        status=campaign.status,
        users=tally.response(),
        held_out=campaign.held_out_count,
        suppressed_reasons=_suppressed(tally.broadcasts),
        failed_reasons=_failed(tally.broadcasts),
        messages=_shown(summed(channels.values())),
        by_channel={name: _shown(counts) for name, counts in sorted(channels.items())},
        effects=_effects(campaign, tally.broadcasts, now=now),
        learning=campaign_learning(campaign, now=now),
    )


def _messages(
    campaign: Campaign, broadcasts: Sequence[Broadcast], *, now: datetime
) -> Mapping[str, Counts]:
    """Returns the counts of the campaign's messages by channel."""
    if campaign.started_at is None or not broadcasts:
        return {}
    span = Span(
        floor_to(campaign.started_at, Grain.QUARTER), floor_to(now, Grain.QUARTER) + QUARTER
    )
    sources = tuple(each.source for each in broadcasts)
    found = read_counts(Selection(buckets=[span], by=("channel",), only={"source": sources}))
    return {channel: counts for (channel,), counts in found.get(0, {}).items()}


def _shown(counts: Counts) -> CampaignMessages:
    sent = counts.get("sent", 0)
    rates = rates_of(counts)
    return CampaignMessages(
        sent=sent,
        delivered=counts.get("delivered", 0),
        bounced=counts.get("bounced", 0),
        opened=counts.get("opened_human", 0),
        clicked=counts.get("clicked_human", 0),
        converted=counts.get("converted", 0),
        unsubscribed=counts.get("unsubscribed", 0),
        complained=counts.get("complained", 0),
        delivery_rate=rates["delivery_rate"],
        open_rate=rates["open_rate"],
        click_rate=rates["click_rate"],
        conversion_rate=rate(counts.get("converted", 0), sent),
        engagement=engagement_response(counts),
    )


def _suppressed(broadcasts: Sequence[Broadcast]) -> dict[str, int]:
    """Returns how many recipients were sent nothing, by the reason of the decision."""
    rows = BroadcastRecipient.objects.filter(
        broadcast_id__in=[each.pk for each in broadcasts], state=RecipientState.SUPPRESSED.value
    )
    found = rows.order_by().values_list("error").annotate(Count("pk"))
    return dict(Counter({reason or _OTHER: number for reason, number in found}).most_common())


def _failed(broadcasts: Sequence[Broadcast]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in broadcasts:
        total.update(each.error_reasons)
    return dict(total.most_common())


def _effects(
    campaign: Campaign, broadcasts: Sequence[Broadcast], *, now: datetime
) -> list[CampaignEffect]:
    """Returns the goals that recipients or held out users reached, by name."""
    if campaign.started_at is None or not campaign.held_out_count:
        return []
    until = min(now, campaign.started_at + EFFECT_LASTS)
    rows = Conversion.objects.filter(
        occurred_at__gte=campaign.started_at, occurred_at__lte=until
    ).order_by()
    recipients = BroadcastRecipient.objects.filter(
        recipient_id=OuterRef("user_id"), broadcast_id__in=[each.pk for each in broadcasts]
    )
    held = CampaignHoldout.objects.filter(user_id=OuterRef("user_id"), campaign=campaign)
    converted, without = _by_goal(rows, recipients), _by_goal(rows, held)
    total = sum(each.tally.total for each in broadcasts)
    goals = Goal.objects.filter(pk__in={*converted, *without}).order_by("name")
    return [
        _effect(
            name,
            Arm(campaign.held_out_count, min(without.get(key, 0), campaign.held_out_count)),
            Arm(total, min(converted.get(key, 0), total)),
        )
        for key, name in goals.values_list("pk", "name")
    ]


def _by_goal(
    rows: QuerySet[Conversion], people: QuerySet[BroadcastRecipient] | QuerySet[CampaignHoldout]
) -> dict[int, int]:
    """Returns how many of some people reached each goal, by its id."""
    found = rows.filter(Exists(people)).values_list("goal_id")
    return dict(found.annotate(Count("user_id", distinct=True)))


def _effect(goal: str, held_out: Arm, recipients: Arm) -> CampaignEffect:
    tested = z_test(held_out, recipients)
    return CampaignEffect(
        goal=goal,
        recipients=recipients.people,
        converted=recipients.conversions,
        held_out=held_out.people,
        held_out_converted=held_out.conversions,
        rate=recipients.rate,
        held_out_rate=held_out.rate,
        difference=recipients.rate - held_out.rate,
        low=tested.interval.low if tested else None,
        high=tested.interval.high if tested else None,
    )
