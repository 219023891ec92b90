"""Posts status events to the platform's endpoints: leases, signs and retries deliveries.

Any number of processes may do this at once. An endpoint that fails gets no posts for a while, and
then one event as a probe before it gets the others.
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
from django.db.models import QuerySet

from notifications.delivery.base import where
from notifications.delivery.protocols.standard_webhooks import signature_headers, signing_key
from notifications.domain.status_events import (
    DEAD_LETTERS_ALERT,
    DISABLED_AFTER,
    RETRIES,
    pause_after,
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
class DeliveryReport:
    """The result of one post to an endpoint."""

    #: The HTTP status; 0 without a response.
    status: int
    error: str = ""
    duration_ms: int = 0

    @property
    def is_success(self) -> bool:
        """Whether the endpoint accepted the event."""
        return 200 <= self.status < 300


def endpoints_to_call(now: datetime) -> QuerySet[WebhookEndpoint]:
    """Returns the endpoints that may be called now."""
    return WebhookEndpoint.objects.filter(active=True).exclude(hold_until__gt=now)


def post_due(*, now: datetime) -> int:
    """Posts what is due to every endpoint that may be called; returns the number of posts.

    Takes at most about twenty seconds; the next round posts what is left. An endpoint on which our
    own code fails waits, and is set aside at its third failure.
    """
    items = Items(Work.WEBHOOK, now=now)
    rows = items.runnable(endpoints_to_call(now))
    keys = list(rows.order_by("pk").values_list("pk", flat=True))
    if not keys:
        return 0
    posts = 0
    for key, found in zip(keys, async_to_sync(_post_to_all)(keys), strict=True):
        if isinstance(found, Exception):
            items.note(key, found)
        elif isinstance(found, BaseException):
            raise found
        else:
            items.clear_failures(key)
            posts += found
    return posts


async def _post_to_all(keys: Sequence[int]) -> list[int | BaseException]:
    """Returns, for each endpoint, the number of posts or the exception."""
    client = new_client()
    stop_at = clock.monotonic() + _ROUND_S
    try:
        rounds = (_post_to(client, key, stop_at) for key in keys)
        return await asyncio.gather(*rounds, return_exceptions=True)
    finally:
        await client.close()


def new_client() -> HttpClient:
    """Returns an HTTP client with the address guard that the webhook channel also has."""
    allow_private = environment().webhook_allow_private
    return HttpClient(timeout_s=CALL_S, guarded=True, allow_private=allow_private)


async def _post_to(client: HttpClient, key: int, stop_at: float) -> int:
    """Posts to one endpoint until nothing is due or all posts of a round fail."""
    endpoint = await sync_to_async(WebhookEndpoint.objects.get)(pk=key)
    posts = 0
    while clock.monotonic() < stop_at:
        count = 1 if endpoint.failures else _AT_ONCE
        work = await sync_to_async(_claim)(endpoint.pk, count)
        if not work:
            break
        reports = await asyncio.gather(
            *(post(client, endpoint, name, body) for _, name, body in work)
        )
        posts += len(reports)
        rows = [row for row, _, _ in work]
        if not await sync_to_async(_record)(endpoint, rows, reports):
            break
    return posts


def _claim(endpoint_id: int, count: int) -> list[tuple[WebhookDelivery, str, bytes]]:
    """Claims deliveries. Returns each with the name of its event and the body to post."""
    rows = WebhookDelivery.objects.claim(endpoint_id, now=clock.now(), count=count)
    events = StatusEvent.objects.in_bulk([row.event_id for row in rows])
    messages = _messages([event.message_id for event in events.values()])
    for row in rows:
        if row.event_id not in events:  # replayed after retention deleted the event
            WebhookDelivery.objects.finish(
                row, state=_State.FAILED, next_at=None, error="the event was deleted"
            )
    made = []
    for row in rows:
        event = events.get(row.event_id)
        if event is None:
            continue
        try:
            made.append((row, _name(event), _body(event, messages.get(event.message_id, {}))))
        except Exception as error:
            _record_unbuildable(row, error)
    return made


def _record_unbuildable(row: WebhookDelivery, error: Exception) -> None:
    """Defers a delivery whose body cannot be built; at its third attempt it fails."""
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
    """Returns the webhook-id: the same at every attempt, so that the receiver sees duplicates."""
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
    """Returns the payload, in the form that Standard Webhooks recommends."""
    moment = at.astimezone(UTC).isoformat()
    return json.dumps({"type": kind, "timestamp": moment, "data": data}).encode()


async def post(
    client: HttpClient, endpoint: WebhookEndpoint, name: str, body: bytes
) -> DeliveryReport:
    """Makes one signed POST and returns its result. Raises nothing."""
    began = clock.monotonic()
    try:
        headers = {"Content-Type": "application/json", **_signed(endpoint, name, body)}
        response = await client.request("POST", endpoint.url, headers=headers, body=body)
    except AddressRefused as refusal:
        return DeliveryReport(0, f"{refusal.code}: {refusal}")
    except HttpFault as fault:
        return DeliveryReport(0, f"{fault.code}: {fault.detail}", _since(began))
    except Exception as failure:  # a bad URL or secret must not stop the other endpoints
        log.error("webhook.failed", endpoint=endpoint.pk, **where(failure))
        return DeliveryReport(0, f"error: {type(failure).__name__}", _since(began))
    error = "" if 200 <= response.status < 300 else f"http_{response.status}"
    return DeliveryReport(response.status, error, _since(began))


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
    endpoint: WebhookEndpoint, rows: Sequence[WebhookDelivery], reports: Sequence[DeliveryReport]
) -> bool:
    """Writes the results of a round; returns whether the endpoint may get another."""
    now = clock.now()
    with transaction.atomic():
        for row, report in zip(rows, reports, strict=True):
            WebhookDelivery.objects.finish(row, **_fields(row, report, now))
        if any(report.status == _GONE for report in reports):
            _disable(endpoint, "it responded 410 Gone", now)
            return False
        if any(report.is_success for report in reports):
            _record_success(endpoint)
            return True
        _record_failure(endpoint, now)
    return False


def _fields(row: WebhookDelivery, report: DeliveryReport, now: datetime) -> dict[str, Any]:
    fields: dict[str, Any] = {"http_status": report.status or None, "error": report.error[:200]}
    if report.is_success:
        return fields | {"state": _State.DELIVERED, "next_at": None, "ended_at": now}
    if row.tries > len(RETRIES):
        return fields | {"state": _State.FAILED, "next_at": None, "ended_at": now}
    return fields | {"next_at": now + RETRIES[row.tries - 1]}


def _record_success(endpoint: WebhookEndpoint) -> None:
    if endpoint.failures:
        endpoint.failures = 0
        _endpoints(endpoint).update(failures=0, failing_since=None, hold_until=None)


def _record_failure(endpoint: WebhookEndpoint, now: datetime) -> None:
    """Pauses an endpoint for a while; disables it when it has failed for days."""
    since = endpoint.failing_since or now
    if now - since >= DISABLED_AFTER:
        _disable(endpoint, f"every post has failed for {DISABLED_AFTER.days} days", now)
        return
    failures = endpoint.failures + 1
    log.warning("webhook.failing", endpoint=endpoint.pk, failures=failures)
    _endpoints(endpoint).update(
        failures=failures, failing_since=since, hold_until=now + pause_after(failures)
    )


def _disable(endpoint: WebhookEndpoint, reason: str, now: datetime) -> None:
    log.critical("webhook.disabled", endpoint=endpoint.pk, reason=reason)
    _endpoints(endpoint).update(active=False, disabled_reason=reason, updated_at=now)
    forget_subscriptions()


def _endpoints(endpoint: WebhookEndpoint) -> Any:
    return WebhookEndpoint.objects.filter(pk=endpoint.pk)
