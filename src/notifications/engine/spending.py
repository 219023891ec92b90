"""What SMS cost: the price of each before it leaves, and the day's limit, which is never passed.

What the day cannot pay any more waits for the next one, critical messages too: a limit of money is
kept before all else, and a code that expires meanwhile expires.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import structlog

from notifications.delivery.registry import is_row_channel
from notifications.domain.channels import Channel
from notifications.domain.lifecycle import MessageStatus
from notifications.domain.messages import OutboundMessage
from notifications.domain.sms import MICROS, price_in, read_prices, text_of
from notifications.engine.slices import Ready, Slice
from notifications.infra.conf import environment
from notifications.infra.database.clock_bridge import database_now
from notifications.infra.phone_numbers import country_of
from notifications.models.providers.sms import Charge, SmsSpend
from notifications.recording.outcomes import trails
from notifications.rendering.lengths.sms import sms_length

log = structlog.get_logger("carillon.spending")

WAITS, NEVER, NO_PRICE = "sms_daily_spend", "sms_over_daily_spend", "sms_price_unknown"


def is_limited(channel: str) -> bool:
    """Whether messages of a channel cost what a day may not have."""
    return channel == Channel.SMS and environment().sms_daily_spend > 0


def limit() -> int:
    """What a day may cost, in millionths."""
    return environment().sms_daily_spend


def cost_of(message: OutboundMessage) -> int | None:
    """What one attempt costs, in millionths: segments times the country's price; None where no
    price is known."""
    price = price_in(_prices(environment().sms_prices), country_of(message.recipient))
    if price is None:
        return None
    return price * sms_length(text_of(message.content.title, message.content.body)).segments


@functools.lru_cache(maxsize=4)
def _prices(pairs: tuple[str, ...]) -> dict[str, int]:
    return read_prices(pairs)


def afford(work: Slice) -> None:
    """What the day's spend cannot pay goes no further in this pass."""
    if not is_limited(work.channel):
        return
    leaving = [item for item in work.ready if not is_row_channel(item.provider)]
    costs = {item.message.id: cost_of(item.outbound) for item in leaving}
    over = beyond({key: cost for key, cost in costs.items() if cost is not None}, at=work.at)
    stays: set[int] = set()
    for item in leaving:
        key, cost = item.message.id, costs[item.message.id]
        item.cost = cost or 0
        why = NO_PRICE if cost is None else over.get(key, "")
        if not why:
            continue
        stays.add(key)
        if why == WAITS:
            trail = trails((work.at, "deferred", why))
            until = next_day(work.at)
            work.settled(item.message, MessageStatus.PENDING, trail=trail, again_at=until)
        else:
            trail = trails((work.at, "suppressed", why))
            work.settled(item.message, MessageStatus.SUPPRESSED, trail=trail)
    work.ready = [item for item in work.ready if item.message.id not in stays]


def pay(going: list[Ready]) -> None:
    """Books what SMS cost, in the journal's transaction, and takes out those that the day cannot
    pay; they are decided anew."""
    charges = [
        Charge(item.message.id, item.outbound.attempt, item.cost, again=bool(item.message.provider))
        for item in going
        if item.cost
    ]
    if charges:
        unpaid = book(charges, at=database_now())
        going[:] = [item for item in going if item.message.id not in unpaid]


def beyond(costs: Mapping[int, int], *, at: datetime) -> dict[int, str]:
    """The messages that the day cannot pay now, each with the reason. One read."""
    left = limit() - SmsSpend.objects.spent(day_of(at)) if costs else 0
    return {key: NEVER if cost > limit() else WAITS for key, cost in costs.items() if cost > left}


def book(charges: Sequence[Charge], *, at: datetime) -> set[int]:
    """Books charges in the caller's transaction; returns the messages that cannot be paid."""
    day = day_of(at)
    refused, first = SmsSpend.objects.take(charges, day=day, limit=limit(), at=at)
    if first:
        log.critical("sms.daily-spend-reached", day=str(day), limit=limit() / MICROS)
    return refused


def day_of(at: datetime) -> date:
    """The day of the service's own zone."""
    return at.astimezone(ZoneInfo(environment().timezone)).date()


def next_day(at: datetime) -> datetime:
    """When the next day begins."""
    zone = ZoneInfo(environment().timezone)
    return datetime.combine(day_of(at) + timedelta(days=1), time(0), tzinfo=zone).astimezone(
        at.tzinfo
    )
