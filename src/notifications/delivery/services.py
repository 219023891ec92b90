"""The services that providers call, and which of them this process must not call now.

A service has one rate limit and one circuit breaker. It is a provider, or one host of a provider
that calls many: a failing webhook of one customer must not block those of others. The rows that all
workers share say which services are blocked. This module caches them, so that routing reads no
database.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from notifications.delivery.registry import chosen_channels, provider_class
from notifications.domain.channels import Channel
from notifications.domain.flow import Rate, rate_of
from notifications.infra import clock
from notifications.infra.conf import environment

_blocked: dict[str, float] = {}
_troubled: frozenset[str] = frozenset()


def service_of(provider: str, recipient: str) -> str:
    """Returns the service that a call to this recipient uses, in at most 120 characters."""
    host = provider_class(provider).host_of(recipient)
    return f"{provider}|{host}"[:120] if host else provider


@functools.lru_cache(maxsize=4)
def _rates(texts: tuple[str, ...]) -> dict[str, Rate | None]:
    given = dict(text.split("=", 1) for text in texts)
    return {name: rate_of(rate) for name, rate in given.items()}


def rate_for(provider: str) -> Rate | None:
    """Returns the rate limit of each service of a provider: the setting's, else the provider's."""
    given = _rates(environment().rate_limits)
    if provider in given:
        return given[provider]
    return rate_of(provider_class(provider).capabilities.rate)


def chat_rate_for(provider: str) -> Rate | None:
    """Returns the rate limit for each recipient of a provider."""
    return rate_of(provider_class(provider).capabilities.chat_rate) if rate_for(provider) else None


def domain_limits(provider: str) -> dict[str, Rate]:
    """Returns the rate limits of recipient domains, for an email provider."""
    texts = environment().email_domain_limits
    if not texts or provider_class(provider).capabilities.channel != Channel.EMAIL:
        return {}
    return {name: rate for name, rate in _rates(texts).items() if rate is not None}


def limited_domain(provider: str, recipient: str) -> str:
    """Returns the limited domain of a recipient: its own or a parent domain; empty without one."""
    limits = domain_limits(provider)
    name = recipient.rpartition("@")[2].rstrip(">").lower() if limits else ""
    while name and name not in limits:
        name = name.partition(".")[2]
    return name


def is_limited(provider: str) -> bool:
    """Whether calls to a provider need slots of a rate limit."""
    return rate_for(provider) is not None or bool(domain_limits(provider))


def late_us_for(provider: str) -> int | None:
    """Returns how late, in microseconds, a slot may be used: the least of a provider's limits.

    None for a provider without a limit.
    """
    rates = [rate_for(provider), *domain_limits(provider).values()]
    return min((rate.late_us for rate in rates if rate is not None), default=None)


def use_troubled(found: Mapping[str, tuple[int, int]]) -> None:
    """Replaces the cached state of the services.

    Args:
        found: for each troubled service, the microseconds for which it is blocked and paused.
    """
    global _troubled
    now = clock.monotonic()
    _blocked.clear()
    for service, (blocked_us, paused_us) in found.items():
        left = max(blocked_us, paused_us - 1_000_000) / 1e6
        if left > 0:
            _blocked[service] = now + left
    _troubled = frozenset(found)


def block(service: str, seconds: float) -> None:
    """Blocks calls to a service for so many seconds from now; 0 allows them again."""
    global _troubled
    _troubled |= {service}
    if seconds > 0:
        _blocked[service] = clock.monotonic() + seconds
    else:
        _blocked.pop(service, None)


def blocked_s(service: str) -> float:
    """Returns for how many seconds a service is blocked; 0 when it is not."""
    until = _blocked.get(service) if _blocked else None
    return max(0.0, until - clock.monotonic()) if until is not None else 0.0


def any_trouble() -> bool:
    """Whether any service is troubled."""
    return bool(_troubled)


def is_troubled(service: str) -> bool:
    """Whether the service's row must be read before each call: its breaker is not closed, or it is
    paused."""
    return service in _troubled


def blocked_channels() -> list[str]:
    """Returns the channels whose providers are all blocked: their batches are not leased."""
    if not _blocked:
        return []
    carriers: dict[str, list[str]] = {}
    for provider, channels in chosen_channels().items():
        for channel in channels:
            carriers.setdefault(channel, []).append(provider)
    return [name for name, keys in carriers.items() if all(blocked_s(key) > 0 for key in keys)]
