"""Finds what a waiting message waits for: a stop, breaker, pause, limit, its order, or its time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from notifications.delivery.registry import is_row_provider
from notifications.delivery.services import rate_for, service_of
from notifications.domain.flow import US
from notifications.engine.prepare import facts_of, route, terms_of
from notifications.features.sending.schemas import BlockerResponse
from notifications.models import DeliveryBatch, KillSwitch, NotificationMessage, ProviderFlow
from notifications.models.delivery.hot import hot
from notifications.models.delivery.hot_rows import PendingMessage
from notifications.models.providers.provider_flow import moment, now_us
from notifications.policy.facts import SliceFacts, load_facts
from notifications.rendering.versions import versions_of


def find_blockers(
    message: NotificationMessage, *, last_reason: str, now: datetime
) -> list[BlockerResponse]:
    """Returns what a pending message waits for, the most general first; empty if it is due.

    last_reason: why the message was last deferred; empty if it was not.
    """
    found = hot().load_pending([message.pk])
    if not found:
        return []
    waiting = found[0]
    facts = load_facts([waiting], waiting.channel, terms_of)
    return [
        *_stop(waiting, facts, now),
        *_services(waiting, facts),
        *_order(waiting, facts),
        *_time(waiting, last_reason, now),
    ]


def _stop(message: PendingMessage, facts: SliceFacts, now: datetime) -> Iterator[BlockerResponse]:
    key = message.template_version_id
    version = versions_of([key]).get(key) if key is not None else None
    name = facts_of(message, facts, version, at=now).stopped_by
    if name:
        scope, _, value = name.partition(":")
        stop = KillSwitch.objects.filter(scope=scope, value=value).first()
        yield BlockerResponse(kind="kill_switch", name=name, reason=stop.reason if stop else "")


def _services(message: PendingMessage, facts: SliceFacts) -> Iterator[BlockerResponse]:
    """Yields the vendors' services for this message that accept no calls now."""
    contact = facts.contacts.get(message.id)
    targets = contact.targets if contact else ()
    places = [(target.provider, target.recipient) for target in targets]
    if not places:
        places = [(route(message, contact), contact.address if contact else "")]
    services = {
        service_of(provider, recipient): provider
        for provider, recipient in places
        if not is_row_provider(provider)
    }
    now = now_us()
    for row in ProviderFlow.objects.filter(service__in=services).order_by("service"):
        if row.open_until or row.probe_until > now:
            closed_until = max(row.open_until, row.probe_until)
            until = moment(closed_until) if closed_until > now else None
            code = row.last_fault_code
            yield BlockerResponse(kind="breaker", name=row.service, reason=code, until=until)
        elif row.next_at > now + US:
            # Slots are assigned up to a second ahead. A later slot means a pause or a full limit.
            kind = "pause" if rate_for(services[row.service]) is None else "limit"
            yield BlockerResponse(kind=kind, name=row.service, until=moment(row.next_at))


def _order(message: PendingMessage, facts: SliceFacts) -> Iterator[BlockerResponse]:
    if message.id in facts.earlier_open:
        yield BlockerResponse(kind="order", name=f"ordering_key:{message.ordering_key}")


def _time(message: PendingMessage, last_reason: str, now: datetime) -> Iterator[BlockerResponse]:
    rows = DeliveryBatch.objects.filter(pk=message.batch_id or 0)
    batch = rows.filter(due_at__gt=now).first()
    if batch is not None:
        yield BlockerResponse(kind="time", name=last_reason or "scheduled", until=batch.due_at)
