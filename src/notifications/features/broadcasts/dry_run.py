"""A broadcast tried without sending: whom it would reach, whom not and why, how long it would take,
what it would cost, and three of the texts."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from decimal import Decimal

from directory.audiences import Audience
from notifications.delivery.services import rate_for
from notifications.domain.broadcast_lifecycle import LAUNCHABLE
from notifications.domain.flow import US
from notifications.features.broadcasts.delivery.approval import wants_approval
from notifications.features.broadcasts.delivery.launch import audience_of
from notifications.features.broadcasts.schemas import (
    DryRun,
    DryRunChannel,
    DryRunCost,
    DryRunResponse,
    DryRunSample,
)
from notifications.features.broadcasts.survey import ChannelTally, Survey
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.models import Broadcast, ProviderFlow
from notifications.models.providers.provider_flow import now_us
from notifications.rendering.lengths.sms import sms_length

SECONDS = 40.0
"""So long is looked at people at most: a million takes some 25 s with PostgreSQL."""
UNLIMITED_PER_S = 1_000
"""What is assumed of a provider without a limit, and of the inbox."""
UNKNOWN_SHOWN = 100


def dry_run(broadcast: Broadcast, *, now: datetime, seconds: float = SECONDS) -> DryRunResponse:
    """What launching this broadcast, saved or not, would lead to at its time.

    Raises:
        InvalidRequest: what the audience names does not exist.
    """
    at = max(now, broadcast.scheduled_at or now)
    audience = audience_of(broadcast, now=at)
    recipients = audience.count()
    survey = Survey(broadcast, at=at)
    until = clock.monotonic() + seconds
    for people in audience.stream():
        survey.look(people)
        if clock.monotonic() >= until:
            break
    return DryRunResponse(
        success=True,
        data=_answer(
            broadcast,
            survey,
            audience,
            recipients=recipients,
            needs_approval=wants_approval(broadcast, now=now),
        ),
    )


def may_be_tried(broadcast: Broadcast) -> bool:
    """Whether it was not launched yet."""
    return broadcast.status in LAUNCHABLE


def _answer(
    broadcast: Broadcast,
    survey: Survey,
    audience: Audience,
    *,
    recipients: int,
    needs_approval: bool,
) -> DryRun:
    # People came or went while the pages were read: then those that were looked at are meant.
    complete = survey.examined >= recipients
    share = 1.0 if complete or not survey.examined else recipients / survey.examined
    prices = prices_of(environment().channel_prices)
    channels = [
        _channel(name, tally, share=share, price=_price(broadcast, name, prices))
        for name, tally in survey.channels.items()
    ]
    cost = sum((Decimal(channel.estimated_cost) for channel in channels), Decimal(0))
    return DryRun(
        recipients=survey.examined if complete else recipients,
        examined=survey.examined,
        complete=complete,
        send_now=survey.send_now,
        delayed=survey.delays.total(),
        excluded=survey.exclusions.total(),
        exclusions=dict(survey.exclusions.most_common()),
        delays=dict(survey.delays.most_common()),
        delayed_until=survey.delayed_until,
        channels=channels,
        estimated_duration_seconds=_duration(survey, share=share),
        estimated_cost=DryRunCost(amount=str(cost), currency=environment().price_currency),
        needs_approval=needs_approval,
        unknown_count=len(audience.missing),
        unknown_recipients=[str(each.user) for each in audience.missing[:UNKNOWN_SHOWN]],
        samples=[
            DryRunSample(
                user_id=sample.user_id,
                user_name=sample.user_name,
                channel=sample.channel,
                decision=sample.decision,
                reason=sample.reason,
                title=sample.title,
                body=sample.body,
            )
            for sample in survey.samples
        ],
    )


def prices_of(pairs: tuple[str, ...]) -> dict[str, Decimal]:
    """What a message costs on each channel that costs anything; an SMS, each of its segments."""
    split = (pair.split("=", 1) for pair in pairs)
    return {channel: Decimal(price) for channel, price in split}


def _price(broadcast: Broadcast, channel: str, prices: dict[str, Decimal]) -> Decimal:
    price = prices.get(channel, Decimal(0))
    if channel != "sms":
        return price
    text = f"{broadcast.title}\n{broadcast.message}" if broadcast.title else broadcast.message
    return price * sms_length(text).segments


def _channel(name: str, tally: ChannelTally, *, share: float, price: Decimal) -> DryRunChannel:
    rates = {provider: rate_per_second(provider) for provider in tally.calls}
    return DryRunChannel(
        channel=name,
        providers=sorted(tally.calls),
        messages=tally.messages,
        send_now=tally.send_now,
        delayed=tally.delays.total(),
        excluded=tally.exclusions.total(),
        exclusions=dict(tally.exclusions.most_common()),
        delays=dict(tally.delays.most_common()),
        calls=tally.calls.total(),
        rate_per_second=round(sum(rates.values()), 3) if rates else None,
        estimated_cost=str(price * round(tally.messages * share)),
    )


def rate_per_second(provider: str) -> float:
    """How many calls a provider takes a second at most."""
    rate = rate_for(provider)
    return US / rate.spacing_us if rate else float(UNLIMITED_PER_S)


def _duration(survey: Survey, *, share: float) -> int:
    """Seconds until the slowest provider has had its last call: what holds it now, and its rate.
    What is deferred or digested leaves later, and is in the pace all the same."""
    calls: Counter[str] = Counter()
    for tally in survey.channels.values():
        calls.update(tally.calls)
    held = _held_s(list(calls))
    seconds = [
        held.get(provider, 0.0) + count * share / rate_per_second(provider)
        for provider, count in calls.items()
    ]
    return -int(-max(seconds, default=0.0) // 1)


def _held_s(providers: list[str]) -> dict[str, float]:
    """How long (s) each provider takes nothing: an open breaker, a pause, slots given away."""
    now = now_us()
    rows = ProviderFlow.objects.filter(service__in=providers)
    return {
        service: max(0, open_until - now, next_at - now) / US
        for service, open_until, next_at in rows.values_list("service", "open_until", "next_at")
    }
