"""BreakerService: the state of providers' services, and closing a breaker manually."""

from __future__ import annotations

from datetime import datetime

import msgspec

from notifications.delivery.registry import PROVIDERS
from notifications.delivery.services import rate_for
from notifications.domain.callers import Caller
from notifications.domain.errors import NotFound, Refused
from notifications.features.providers.service import SCOPE
from notifications.infra import clock
from notifications.infra.field_types import BreakerStateName
from notifications.models import ProviderFlow
from notifications.models.audit.actions import record_action
from notifications.models.providers.provider_flow import moment, now_us

_SECOND_US = 1_000_000


class BreakerResponse(msgspec.Struct, kw_only=True):
    """One service: a provider, or one host of a provider that calls many hosts."""

    id: int
    """The integer id of the row. Example: `3`"""

    service: str
    """The provider, or the provider and the host. Example: `webhook|example.com`"""

    provider: str
    """The key of the provider. Example: `webhook`"""

    state: BreakerStateName

    until: datetime | None
    """When an open breaker may be probed (RFC 3339), or null."""

    paused_until: datetime | None
    """Until when the service asked to wait (RFC 3339), or null."""

    limit: str | None
    """The most calls that the service may get; null for no limit. Example: `14/s`"""

    faults: int
    """The number of faults in the last counted minute. Example: `2`"""

    successes: int
    """The number of successes in the last counted minute. Example: `300`"""

    last_success_at: datetime | None
    """When the service last accepted a message (RFC 3339), or null."""

    last_fault_at: datetime | None
    """When the service last failed (RFC 3339), or null."""

    last_fault_code: str
    """The code of the last fault; empty when there was none. Example: `timeout`"""


class BreakerService:
    """Reads and changes the shared rows of rate limits and breakers."""

    def list(self, *, after: int, limit: int, caller: Caller) -> list[BreakerResponse]:
        """Returns the services that were called, in the order of their rows."""
        _check(caller)
        now = now_us()
        rows = ProviderFlow.objects.filter(pk__gt=after).order_by("pk")[:limit]
        return [response_of(row, now) for row in rows]

    def close(self, *, service: str, caller: Caller) -> BreakerResponse:
        """Closes a breaker and ends a pause: the next messages are sent at once.

        Raises:
            NotFound: unknown_service.
        """
        _check(caller)
        if not ProviderFlow.objects.close(service):
            text = f"there is no service {service!r}: see GET /api/v1/breakers"
            raise NotFound(text, code="unknown_service")
        record_action(
            actor=caller.name, action="breaker.close", target=service, reason="", at=clock.now()
        )
        return response_of(ProviderFlow.objects.get(service=service), now_us())


def response_of(row: ProviderFlow, now: int) -> BreakerResponse:
    """Returns the response of a row."""
    provider = row.service.partition("|")[0]
    rate = rate_for(provider) if provider in PROVIDERS else None
    paused = row.next_at > now + _SECOND_US
    return BreakerResponse(
        id=row.pk,
        service=row.service,
        provider=provider,
        state=row.flow().state(now),
        until=moment(row.open_until) if row.open_until else None,
        paused_until=moment(row.next_at) if paused else None,
        limit=str(rate) if rate else None,
        faults=row.faults,
        successes=row.successes,
        last_success_at=row.last_success_at,
        last_fault_at=row.last_fault_at,
        last_fault_code=row.last_fault_code,
    )


def _check(caller: Caller) -> None:
    if not caller.may(SCOPE):
        raise Refused(f"this needs the scope {SCOPE}", code="missing_scope", scope=SCOPE)
