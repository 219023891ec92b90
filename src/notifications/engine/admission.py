"""Admission decides which messages may be sent now: by rate limits, breakers and daily SMS spend.

It runs before the journal. A message that is not admitted waits, and no attempt is counted. Results
of providers are reported to the rows of their services, which all workers share. A message that the
daily spend cannot pay waits for the next day, also a critical one: the limit of money comes first,
and a message that expires meanwhile expires.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError

from notifications.delivery.registry import is_row_provider
from notifications.delivery.services import (
    any_trouble,
    block,
    blocked_s,
    chat_rate_for,
    domain_limits,
    is_limited,
    is_troubled,
    limited_domain,
    rate_for,
    service_of,
    use_troubled,
)
from notifications.domain.channels import Channel, Lane
from notifications.domain.flow import CRITICAL_HORIZON_US, HORIZON_US, US, CallCounts, Grant
from notifications.domain.lifecycle import MessageStatus
from notifications.domain.messages import (
    NOT_CALLED,
    OutboundMessage,
    SendResult,
    Verdict,
    blames_service,
)
from notifications.domain.sms import MICROS, price_in, read_prices, text_of
from notifications.engine.values import Ready, Slice
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.database.clock_bridge import database_clock, database_now
from notifications.infra.database.errors import is_locked
from notifications.infra.phone_numbers import country_of
from notifications.models import ProviderFlow
from notifications.models.providers.sms import Charge, SmsSpend
from notifications.recording.outcomes import trails
from notifications.rendering.lengths.sms import sms_length

log = structlog.get_logger("carillon.admission")
_spending_log = structlog.get_logger("carillon.spending")

_REFRESH_S = 0.5
_HASH_KEY_BYTES = 64  # the longest key of BLAKE2b
_SUCCESS_REPORT_S = 10.0  # how often the successes of a healthy service are reported
_REPORT_GATHER_S = 0.05
_LOCKED_US = US  # how long calls to a service wait whose row another transaction has locked


@dataclass(slots=True)
class _Observed:
    """What was observed of a service and not reported yet."""

    successes: int = 0
    faults: int = 0
    pause_us: int = 0
    void: bool = False
    code: str = ""

    def counts(self) -> CallCounts:
        return CallCounts(self.successes, self.faults, self.pause_us, self.void)


class Admission:
    """Admits the messages of one worker, and reports to services what it observed.

    Args:
        owner: the worker, as in leases.
        database: runs a call on a thread with a database connection.
    """

    def __init__(self, *, owner: str, database: Callable[..., Awaitable[Any]]) -> None:
        self._owner = owner
        self._database = database
        self._observed: dict[str, _Observed] = {}
        self._read_at = self._reported_at = 0.0
        self._reporting: asyncio.Task[None] | None = None

    async def refresh(self) -> None:
        """Reads which services are in trouble, at most twice a second."""
        now = clock.monotonic()
        if now - self._read_at >= _REFRESH_S:
            self._read_at = now
            use_troubled(await self._database(ProviderFlow.objects.troubled))

    async def admit(self, items: Sequence[Ready], lane: Lane) -> tuple[list[Ready], float]:
        """Returns the items that may be sent within a second, and how long (s) the others should
        wait.

        Each returned item has its slot in `leaves_at`.
        """
        if not any_trouble() and not any(is_limited(key) for key in _providers(items)):
            return list(items), 0.0
        wanted: dict[str, list[tuple[Ready, str]]] = {}
        waits: list[float] = []
        stuck: set[int] = set()
        for item in items:
            item.leaves_at, item.is_probe = 0.0, False
            calls = _calls_of(item)
            free = [call for call in calls if blocked_s(call[0]) == 0]
            if not free and calls:
                stuck.add(item.message.id)
                waits.append(min(blocked_s(service) for service, _, _ in calls))
            for service, provider, chat in free:
                if is_limited(provider) or is_troubled(service):
                    wanted.setdefault(service, []).append((item, chat))
        for service, calls_there in wanted.items():
            grant = await self._claim(service, calls_there, lane)
            stuck |= _give_slots(service, calls_there, grant)
            if grant.count < len(calls_there):
                waits.append(grant.retry_us / US)
        going = [item for item in items if item.message.id not in stuck] if stuck else list(items)
        return going, min(waits, default=0.0)

    async def _claim(self, service: str, calls: Sequence[tuple[Ready, str]], lane: Lane) -> Grant:
        provider = service.partition("|")[0]
        try:
            grant: Grant = await self._database(
                ProviderFlow.objects.claim,
                service,
                owner=self._owner,
                rate=rate_for(provider),
                wanted=[chat for _, chat in calls],
                horizon_us=CRITICAL_HORIZON_US if lane is Lane.CRITICAL else HORIZON_US,
                chat_rate=chat_rate_for(provider) or domain_limits(provider) or None,
            )
        except OperationalError as error:
            if not is_locked(error):
                raise
            # Another transaction holds the row, perhaps one of a host that vanished. Other services
            # continue meanwhile.
            log.warning("service.locked", service=service)
            return Grant([None] * len(calls), retry_us=_LOCKED_US, reason="locked")
        if grant.reason.startswith("breaker"):
            block(service, grant.retry_us / US)
        elif grant.count and is_troubled(service):
            block(service, 0)  # a probe, or the trouble is over
        return grant

    def observe(self, provider: str, recipient: str, result: SendResult) -> None:
        """Notes the result of a call."""
        if is_row_provider(provider):
            return
        if result.parts:
            for part in result.parts:
                self.observe(part.target.provider, part.target.recipient, part.result)
            return
        service = service_of(provider, recipient)
        observed = self._observed.get(service)
        if observed is None:
            observed = self._observed[service] = _Observed()
        troubled = is_troubled(service)
        if result.error_code in NOT_CALLED or result.simulated:
            observed.void = True
        elif result.retry_after_s and result.verdict is Verdict.RETRY:
            observed.pause_us = max(observed.pause_us, int(result.retry_after_s * US))
            observed.successes += 1
            troubled = True
        elif blames_service(result):
            observed.faults += 1
            observed.code = result.error_code
            troubled = True
        else:
            observed.successes += 1
        if troubled or clock.monotonic() - self._reported_at > _SUCCESS_REPORT_S:
            self._report_soon()

    def _report_soon(self) -> None:
        if self._reporting is None or self._reporting.done():
            self._reporting = asyncio.get_running_loop().create_task(self._report())

    async def _report(self) -> None:
        await asyncio.sleep(_REPORT_GATHER_S)
        self._reported_at = clock.monotonic()
        observed, self._observed = self._observed, {}
        for service, what in observed.items():
            try:
                await self._report_one(service, what)
            except (DatabaseError, InterfaceError) as error:
                log.warning("breaker.not-reported", service=service, error=type(error).__name__)
            except Exception:
                log.exception("breaker.not-reported", service=service)

    async def _report_one(self, service: str, observed: _Observed) -> None:
        settings = environment()
        before, after = await self._database(
            ProviderFlow.objects.report,
            service,
            observed.counts(),
            owner=self._owner,
            faults_to_open=settings.breaker_failures,
            open_us=int(settings.breaker_open_seconds * US),
            code=observed.code,
        )
        if observed.pause_us:
            block(service, max(0.0, observed.pause_us / US - 1))
        if before != after:
            log.warning("breaker.changed", service=service, before=before, after=after)
        if after == "open":
            block(service, settings.breaker_open_seconds)
        elif after == "closed" and before != "closed":
            block(service, 0)

    async def close(self) -> None:
        """Reports what was observed and not reported yet."""
        if self._reporting is not None:
            await asyncio.wait({self._reporting})
        if self._observed:
            await self._report()


def _give_slots(service: str, calls: Sequence[tuple[Ready, str]], grant: Grant) -> set[int]:
    """Sets the slots of messages. Returns the ids of those without a slot."""
    paced = rate_for(service.partition("|")[0]) is not None
    stuck: set[int] = set()
    for (item, chat), wait_us in zip(calls, grant.waits, strict=True):
        if wait_us is None:
            stuck.add(item.message.id)
            continue
        # A call without a rate limit needs no slot, and may be sent at any later time.
        if paced or chat or wait_us:
            slot_at = database_clock.latest_monotonic(grant.now + wait_us)
            item.leaves_at = max(item.leaves_at, slot_at)
        item.is_probe = item.is_probe or grant.is_probe
    return stuck


def _providers(items: Sequence[Ready]) -> set[str]:
    found = {item.provider for item in items}
    for item in items:
        found.update(target.provider for target in item.outbound.targets)
    return found


def _calls_of(item: Ready) -> list[tuple[str, str, str]]:
    """Returns the calls of a message: service, provider, and the chat where chats have limits."""
    outbound = item.outbound
    places = [(target.provider, target.recipient) for target in outbound.targets]
    return [
        (service_of(provider, recipient), provider, _chat(provider, recipient))
        for provider, recipient in places or [(item.provider, outbound.recipient)]
        if not is_row_provider(provider)
    ]


def _chat(provider: str, recipient: str) -> str:
    """Returns the key of a recipient's limit: the domain of a mail, or a hash of the chat."""
    if chat_rate_for(provider) is None:
        return limited_domain(provider, recipient)
    key = settings.PEPPER.encode()[:_HASH_KEY_BYTES]  # a phone number could be guessed
    return hashlib.blake2b(recipient.encode(), key=key, digest_size=16).hexdigest()


WAITS, NEVER, NO_PRICE = "sms_daily_spend", "sms_over_daily_spend", "sms_price_unknown"


def costs_money(channel: str) -> bool:
    """Returns whether messages of a channel count against the daily spend."""
    return channel == Channel.SMS and environment().sms_daily_spend > 0


def daily_spend() -> int:
    """Returns the limit of the daily spend, in millionths."""
    return environment().sms_daily_spend


def cost_of(message: OutboundMessage) -> int | None:
    """Returns the cost of one attempt in millionths: segments times the price of the country.

    Returns None when no price is known.
    """
    price = price_in(_prices(environment().sms_prices), country_of(message.recipient))
    if price is None:
        return None
    return price * sms_length(text_of(message.content.title, message.content.body)).segments


@functools.lru_cache(maxsize=4)
def _prices(pairs: tuple[str, ...]) -> dict[str, int]:
    return read_prices(pairs)


def afford(work: Slice) -> None:
    """Settles the messages that the daily spend cannot pay: they wait or are suppressed."""
    if not costs_money(work.channel):
        return
    leaving = [item for item in work.ready if not is_row_provider(item.provider)]
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
    """Books the cost of SMS in the transaction of the journal.

    Removes the messages that the daily spend cannot pay. They are decided again.
    """
    charges = [
        Charge(item.message.id, item.outbound.attempt, item.cost, again=bool(item.message.provider))
        for item in going
        if item.cost
    ]
    if charges:
        unpaid = book(charges, at=database_now())
        going[:] = [item for item in going if item.message.id not in unpaid]


def beyond(costs: Mapping[int, int], *, at: datetime) -> dict[int, str]:
    """Returns the messages that the day cannot pay now, each with the reason. One read."""
    left = daily_spend() - SmsSpend.objects.spent(day_of(at)) if costs else 0
    return {
        key: NEVER if cost > daily_spend() else WAITS for key, cost in costs.items() if cost > left
    }


def book(charges: Sequence[Charge], *, at: datetime) -> set[int]:
    """Books charges in the caller's transaction. Returns the messages that cannot be paid."""
    day = day_of(at)
    refused, first = SmsSpend.objects.charge(charges, day=day, limit=daily_spend(), at=at)
    if first:
        _spending_log.critical(
            "sms.daily-spend-reached", day=str(day), limit=daily_spend() / MICROS
        )
    return refused


def day_of(at: datetime) -> date:
    """Returns the day of a moment in the time zone of the service."""
    return at.astimezone(ZoneInfo(environment().timezone)).date()


def next_day(at: datetime) -> datetime:
    """Returns when the next day begins in the time zone of the service."""
    zone = ZoneInfo(environment().timezone)
    return datetime.combine(day_of(at) + timedelta(days=1), time(0), tzinfo=zone).astimezone(
        at.tzinfo
    )
