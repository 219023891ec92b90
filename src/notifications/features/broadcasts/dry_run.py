"""A dry run of a broadcast: whom it would reach, whom not and why, its duration and its cost.

Nothing is sent. The response shows up to three of the texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from directory.audiences import Audience
from notifications.delivery.services import rate_for
from notifications.domain.broadcast_lifecycle import LAUNCHABLE
from notifications.domain.flow import US
from notifications.features.broadcasts.delivery.approval import requires_approval
from notifications.features.broadcasts.delivery.launch import resolve_audience
from notifications.features.broadcasts.dry_run_schemas import (
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
"""Recipients are examined for at most so long; a million take about 25 s with PostgreSQL."""
UNLIMITED_PER_S = 1_000
"""The assumed rate of a provider without a limit, and of the inbox."""
UNKNOWN_SHOWN = 100


def dry_run(
    broadcast: Broadcast,
    *,
    now: datetime,
    seconds: float = SECONDS,
    is_left_out: Callable[[int], bool] | None = None,
) -> DryRunResponse:
    """Returns what a launch of this broadcast, saved or not, would do at its scheduled time.

    is_left_out: whether a person of the audience, given by user id, gets nothing and is not
    counted. Where the audience is not examined to its end, their share is assumed for the rest.

    Raises:
        InvalidRequest: the audience names something that does not exist.
    """
    at = max(now, broadcast.scheduled_at or now)
    audience = resolve_audience(broadcast, now=at)
    recipients = audience.count()
    survey = Survey(broadcast, at=at)
    until = clock.monotonic() + seconds
    seen = 0
    for people in audience.stream():
        seen += len(people)
        survey.add_page([each for each in people if not (is_left_out and is_left_out(each))])
        if clock.monotonic() >= until:
            break
    if survey.examined < seen:  # some are left out
        recipients = round(max(recipients, seen) * survey.examined / seen)
    return DryRunResponse(
        success=True,
        data=_build_response(
            broadcast,
            survey,
            audience,
            recipients=recipients,
            needs_approval=requires_approval(broadcast, now=now),
        ),
    )


def can_dry_run(broadcast: Broadcast) -> bool:
    """Returns whether the broadcast was not launched yet."""
    return broadcast.status in LAUNCHABLE


def _build_response(
    broadcast: Broadcast,
    survey: Survey,
    audience: Audience,
    *,
    recipients: int,
    needs_approval: bool,
) -> DryRun:
    # The audience may change while its pages are read: then the examined people are counted.
    complete = survey.examined >= recipients
    share = 1.0 if complete or not survey.examined else recipients / survey.examined
    prices = parse_prices(environment().channel_prices)
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
        estimated_duration_seconds=max(
            _duration(survey, share=share), _paced_s(broadcast, recipients)
        ),
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


def parse_prices(pairs: tuple[str, ...]) -> dict[str, Decimal]:
    """Returns the price of a message by channel; of an SMS, the price of a segment."""
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
    """Returns how many calls a second a provider accepts at most."""
    rate = rate_for(provider)
    return US / rate.spacing_us if rate else float(UNLIMITED_PER_S)


def _duration(survey: Survey, *, share: float) -> int:
    """Returns the seconds until the slowest provider has received its last call.

    They follow from how long the provider is blocked now and from its rate. Deferred and digested
    messages count as well, although they are sent later.
    """
    calls: Counter[str] = Counter()
    for tally in survey.channels.values():
        calls.update(tally.calls)
    blocked = _blocked_s(list(calls))
    seconds = [
        blocked.get(provider, 0.0) + count * share / rate_per_second(provider)
        for provider, count in calls.items()
    ]
    return -int(-max(seconds, default=0.0) // 1)


def _paced_s(broadcast: Broadcast, recipients: int) -> int:
    """Returns the seconds in which so many recipients get their messages by its own limit."""
    return -(-recipients * 60 // broadcast.per_minute) if broadcast.per_minute else 0


def _blocked_s(providers: list[str]) -> dict[str, float]:
    """Returns for how many seconds each provider accepts no call.

    The reasons are an open circuit breaker, a pause, and calls that are already planned.
    """
    now = now_us()
    rows = ProviderFlow.objects.filter(service__in=providers)
    return {
        service: max(0, open_until - now, next_at - now) / US
        for service, open_until, next_at in rows.values_list("service", "open_until", "next_at")
    }
