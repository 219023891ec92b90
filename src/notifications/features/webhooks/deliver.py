"""Posts status events to the platform's endpoints: leased, signed, tried again, never in a hurry.

Any number of processes may do this at once. An endpoint that answers nothing is left alone for a
while as a whole, and asked with one event before it gets the others.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from asgiref.sync import async_to_sync, sync_to_async
from django.db import transaction

from notifications.delivery.base import where
from notifications.delivery.protocols.standard_webhooks import signature_headers, signing_key
from notifications.domain.status_events import (
    DEAD_LETTERS_ALERT,
    DISABLED_AFTER,
    RETRIES,
    hold_after,
)
from notifications.features.background.items import Items
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.http.client import AddressRefused, HttpClient, HttpFault
from notifications.models import (
    NotificationMessage,
    StatusEvent,
    WebhookDelivery,
    WebhookEndpoint,
    Work,
)
from notifications.models.operations.item_fault import TRIES
from notifications.models.operations.status_webhook import forget_subscriptions

log = structlog.get_logger("carillon.webhooks")
CALL_S = 15.0
_AT_ONCE = 20
_ROUND_S = 20.0
_GONE = 410
_State = WebhookDelivery.State


@dataclass(frozen=True, slots=True)
class Told:
    """What an endpoint answered. status: 0 when nothing came back; error is short."""

    status: int
    error: str = ""
    duration_ms: int = 0

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300


def tell_due(*, now: datetime) -> int:
    """Posts what is due to every endpoint that may be asked; returns how many posts were made.

    Bounded to about twenty seconds; what is left is posted next time. An endpoint that fails in our
    own code waits, and is set aside at its third failure.
    """
    items = Items(Work.WEBHOOK, now=now)
    rows = items.open(WebhookEndpoint.objects.filter(active=True).exclude(hold_until__gt=now))
    keys = list(rows.order_by("pk").values_list("pk", flat=True))
    if not keys:
        return 0
    posts = 0
    for key, found in zip(keys, async_to_sync(_tell_all)(keys), strict=True):
        if isinstance(found, Exception):
            items.note(key, found)
        elif isinstance(found, BaseException):
            raise found
        else:
            items.well(key)
            posts += found
    return posts


async def _tell_all(keys: Sequence[int]) -> list[int | BaseException]:
    """How many posts were made to each endpoint, or what was raised."""
    client = new_client()
    stop_at = clock.monotonic() + _ROUND_S
    try:
        rounds = (_tell(client, key, stop_at) for key in keys)
        return await asyncio.gather(*rounds, return_exceptions=True)
    finally:
        await client.close()


def new_client() -> HttpClient:
    """A client behind the guard that the webhook channel has, too."""
    allow_private = environment().webhook_allow_private
    return HttpClient(timeout_s=CALL_S, guarded=True, allow_private=allow_private)


async def _tell(client: HttpClient, key: int, stop_at: float) -> int:
    """Rounds of posts to one endpoint, until nothing is due or it takes nothing."""
    endpoint = await sync_to_async(WebhookEndpoint.objects.get)(pk=key)
    posts = 0
    while clock.monotonic() < stop_at:
        count = 1 if endpoint.failures else _AT_ONCE
        work = await sync_to_async(_take)(endpoint.pk, count)
        if not work:
            break
        told = await asyncio.gather(*(post(client, endpoint, name, body) for _, name, body in work))
        posts += len(told)
        rows = [row for row, _, _ in work]
        if not await sync_to_async(_record)(endpoint, rows, told):
            break
    return posts


def _take(endpoint_id: int, count: int) -> list[tuple[WebhookDelivery, str, bytes]]:
    """Claims deliveries; each with its event's name and the body to post."""
    rows = WebhookDelivery.objects.claim(endpoint_id, now=clock.now(), count=count)
    events = StatusEvent.objects.in_bulk([row.event_id for row in rows])
    messages = _messages([event.message_id for event in events.values()])
    for row in rows:
        if row.event_id not in events:  # replayed after it was forgotten
            WebhookDelivery.objects.finish(
                row, state=_State.FAILED, next_at=None, error="the event is forgotten"
            )
    made = []
    for row in rows:
        event = events.get(row.event_id)
        if event is None:
            continue
        try:
            made.append((row, _name(event), _body(event, messages.get(event.message_id, {}))))
        except Exception as error:
            _unsayable(row, error)
    return made


def _unsayable(row: WebhookDelivery, error: Exception) -> None:
    """An event that no body can be made of waits, and fails at its third try; others go on."""
    now, trace = clock.now(), secrets.token_hex(6)
    log.error("webhook.unsayable", delivery=row.pk, tries=row.tries, trace=trace, exc_info=error)
    words = f"{type(error).__name__}, trace {trace}"
    if row.tries < TRIES:
        WebhookDelivery.objects.finish(row, next_at=now + RETRIES[row.tries - 1], error=words)
    else:
        WebhookDelivery.objects.finish(
            row, state=_State.FAILED, next_at=None, ended_at=now, error=words
        )


def _messages(keys: Sequence[int]) -> dict[int, dict[str, Any]]:
    rows = NotificationMessage.objects.filter(pk__in=keys).values(
        "pk",
        "channel",
        "user_id",
        "provider",
        "provider_message_id",
        "attempts",
        "notification__uuid",
        "notification__source",
        "notification__category__key",
    )
    return {row["pk"]: dict(row) for row in rows}


def _name(event: StatusEvent) -> str:
    """The webhook-id: the same at every try, so that the receiver knows a repetition."""
    return f"evt_{event.pk}_{clock.epoch_ms(event.at)}"


def _body(event: StatusEvent, message: Mapping[str, Any]) -> bytes:
    if event.kind == DEAD_LETTERS_ALERT:
        count, _, limit = event.code.partition("/")
        return body_of(event.kind, event.at, {"count": int(count), "limit": int(limit)})
    uuid = message.get("notification__uuid")
    data = {
        "notification_id": str(uuid) if uuid else None,
        "message_id": event.message_id,
        "status": event.kind.removeprefix("message."),
        "code": event.code,
        "channel": message.get("channel"),
        "user_id": message.get("user_id"),
        "provider": message.get("provider"),
        "provider_message_id": message.get("provider_message_id"),
        "attempts": message.get("attempts"),
        "category": message.get("notification__category__key"),
        "source": message.get("notification__source"),
    }
    return body_of(event.kind, event.at, data)


def body_of(kind: str, at: datetime, data: Mapping[str, Any]) -> bytes:
    """The payload, in the form that Standard Webhooks recommends."""
    moment = at.astimezone(UTC).isoformat()
    return json.dumps({"type": kind, "timestamp": moment, "data": data}).encode()


async def post(client: HttpClient, endpoint: WebhookEndpoint, name: str, body: bytes) -> Told:
    """One signed POST, and what came of it. Raises nothing."""
    began = clock.monotonic()
    try:
        headers = {"Content-Type": "application/json", **_signed(endpoint, name, body)}
        answer = await client.request("POST", endpoint.url, headers=headers, body=body)
    except AddressRefused as refusal:
        return Told(0, f"{refusal.code}: {refusal}")
    except HttpFault as fault:
        return Told(0, f"{fault.code}: {fault.detail}", _since(began))
    except Exception as nonsense:  # of this endpoint's URL or secrets: the others are told
        log.error("webhook.failed", endpoint=endpoint.pk, **where(nonsense))
        return Told(0, f"error: {type(nonsense).__name__}", _since(began))
    error = "" if 200 <= answer.status < 300 else f"http_{answer.status}"
    return Told(answer.status, error, _since(began))


def _signed(endpoint: WebhookEndpoint, name: str, body: bytes) -> Mapping[str, str]:
    now = int(clock.now().timestamp())
    keys = [
        signing_key(each["secret"])
        for each in endpoint.secrets
        if each["until"] is None or each["until"] > now
    ]
    return signature_headers(keys, name, now, body)


def _since(began: float) -> int:
    return int((clock.monotonic() - began) * 1000)


def _record(
    endpoint: WebhookEndpoint, rows: Sequence[WebhookDelivery], told: Sequence[Told]
) -> bool:
    """Writes what became of a round; whether the endpoint may have another."""
    now = clock.now()
    with transaction.atomic():
        for row, answer in zip(rows, told, strict=True):
            WebhookDelivery.objects.finish(row, **_fields(row, answer, now))
        if any(answer.status == _GONE for answer in told):
            _disable(endpoint, "it answered 410: gone for good", now)
            return False
        if any(answer.taken for answer in told):
            _well(endpoint)
            return True
        _ill(endpoint, now)
    return False


def _fields(row: WebhookDelivery, answer: Told, now: datetime) -> dict[str, Any]:
    fields: dict[str, Any] = {"http_status": answer.status or None, "error": answer.error[:200]}
    if answer.taken:
        return fields | {"state": _State.DELIVERED, "next_at": None, "ended_at": now}
    if row.tries > len(RETRIES):
        return fields | {"state": _State.FAILED, "next_at": None, "ended_at": now}
    return fields | {"next_at": now + RETRIES[row.tries - 1]}


def _well(endpoint: WebhookEndpoint) -> None:
    if endpoint.failures:
        endpoint.failures = 0
        _endpoints(endpoint).update(failures=0, failing_since=None, hold_until=None)


def _ill(endpoint: WebhookEndpoint, now: datetime) -> None:
    """Leaves an endpoint alone for a while; switches it off when it has been ill for days."""
    since = endpoint.failing_since or now
    if now - since >= DISABLED_AFTER:
        _disable(endpoint, f"it has taken nothing for {DISABLED_AFTER.days} days", now)
        return
    failures = endpoint.failures + 1
    log.warning("webhook.failing", endpoint=endpoint.pk, failures=failures)
    _endpoints(endpoint).update(
        failures=failures, failing_since=since, hold_until=now + hold_after(failures)
    )


def _disable(endpoint: WebhookEndpoint, reason: str, now: datetime) -> None:
    log.critical("webhook.disabled", endpoint=endpoint.pk, reason=reason)
    _endpoints(endpoint).update(active=False, disabled_reason=reason, updated_at=now)
    forget_subscriptions()


def _endpoints(endpoint: WebhookEndpoint) -> Any:
    return WebhookEndpoint.objects.filter(pk=endpoint.pk)
