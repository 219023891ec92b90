"""WebhookService: manages the platform's endpoints that receive status events."""

from __future__ import annotations

import secrets as random_text
from collections.abc import Sequence
from datetime import timedelta

from asgiref.sync import async_to_sync
from django.db import transaction
from django.db.models import Count, F

from notifications.delivery.protocols.standard_webhooks import new_secret
from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, FieldError, InvalidRequest, NotFound, Refused
from notifications.domain.identifiers import parse_key
from notifications.domain.status_events import KINDS
from notifications.engine.shared_rows import refresh_accounts
from notifications.features.webhooks.deliver import DeliveryReport, body_of, new_client, post
from notifications.features.webhooks.schemas import (
    WebhookBody,
    WebhookDeliveryResponse,
    WebhookReplayBody,
    WebhookReplayResponse,
    WebhookResponse,
    WebhookSecretResponse,
    WebhookTestResponse,
)
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.http.client import AddressRefused, check_url
from notifications.models import StatusEvent, WebhookDelivery, WebhookEndpoint
from notifications.models.audit.actions import Values, record_action, values_of
from notifications.models.operations.status_webhook import forget_subscriptions

SCOPE = "webhooks:write"
MOST = 50
OLD_SECRET_FOR = timedelta(days=1)
_REPLAYED_AT_ONCE = 10_000
_State = WebhookDelivery.State
Deliveries = list[WebhookDeliveryResponse]
MOST_SEEN = 2_000
"""The deliveries among which a page looks for a state."""


class WebhookService:
    """Manages endpoints. Every change is logged with its actor."""

    def list(self, *, caller: Caller, after: int = 0, limit: int = 50) -> list[WebhookResponse]:
        """Returns endpoints by id."""
        _check(caller)
        rows = list(WebhookEndpoint.objects.filter(pk__gt=after).order_by("pk")[:limit])
        waiting = _waiting([row.pk for row in rows])
        return [_to_response(row, waiting.get(row.pk, 0)) for row in rows]

    def get(self, *, identifier: int | str, caller: Caller) -> WebhookResponse:
        """Returns one endpoint.

        Raises:
            NotFound: unknown_webhook.
        """
        _check(caller)
        return _to_response_now(_find(identifier))

    def create(self, *, body: WebhookBody, caller: Caller) -> WebhookSecretResponse:
        """Creates an endpoint with its own secret, which is shown only this once.

        Raises:
            InvalidRequest: a URL that may not be called, an unknown event.
            Conflict: too_many_webhooks.
        """
        _check(caller)
        _check_body(body)
        now, secret = clock.now(), new_secret()
        with transaction.atomic():
            if WebhookEndpoint.objects.count() >= MOST:
                raise Conflict(
                    f"there are {MOST} endpoints, the most that are allowed: delete one first",
                    code="too_many_webhooks",
                )
            row = WebhookEndpoint.objects.create(
                name=body.name,
                url=body.url,
                events=_kinds(body),
                active=body.active,
                secrets=[{"secret": secret, "until": None}],
                created_by=caller.name,
                created_at=now,
                updated_at=now,
            )
            _log_action(caller, "webhook.create", row.pk, after=values_of(row))
        forget_subscriptions()
        return _with_secret(row, secret)

    def replace(
        self, *, identifier: int | str, body: WebhookBody, caller: Caller
    ) -> WebhookResponse:
        """Replaces an endpoint's URL, name and events; `active` also enables it again.

        Raises:
            NotFound, InvalidRequest.
        """
        _check(caller)
        _check_body(body)
        row = _find(identifier)
        before = values_of(row)
        row.name, row.url, row.events, row.active = body.name, body.url, _kinds(body), body.active
        row.failures, row.failing_since, row.hold_until, row.disabled_reason = 0, None, None, ""
        row.updated_at = clock.now()
        with transaction.atomic():
            row.save(
                update_fields=[
                    "name",
                    "url",
                    "events",
                    "active",
                    "failures",
                    "failing_since",
                    "hold_until",
                    "disabled_reason",
                    "updated_at",
                ]
            )
            _log_action(caller, "webhook.replace", row.pk, before=before, after=values_of(row))
        forget_subscriptions()
        return _to_response_now(row)

    def delete(self, *, identifier: int | str, caller: Caller) -> None:
        """Deletes an endpoint; its open deliveries are dropped.

        Raises:
            NotFound: unknown_webhook.
        """
        _check(caller)
        row = _find(identifier)
        with transaction.atomic():
            _log_action(caller, "webhook.delete", row.pk, before=values_of(row))
            WebhookDelivery.objects.filter(endpoint_id=row.pk, next_at__isnull=False).update(
                state=_State.FAILED, next_at=None, fence=F("fence") + 1, error="endpoint deleted"
            )
            row.delete()
        forget_subscriptions()

    def rotate(self, *, identifier: int | str, caller: Caller) -> WebhookSecretResponse:
        """Gives an endpoint a new secret. For a day, posts are signed with both secrets.

        Raises:
            NotFound: unknown_webhook.
        """
        _check(caller)
        secret, now = new_secret(), clock.now()
        with transaction.atomic():
            row = _find(identifier)
            old = {**row.secrets[0], "until": int((now + OLD_SECRET_FOR).timestamp())}
            row.secrets = [{"secret": secret, "until": None}, old]
            row.updated_at = now
            row.save(update_fields=["secrets", "updated_at"])
            _log_action(caller, "webhook.rotate", row.pk)
        return _with_secret(row, secret)

    def send_test(self, *, identifier: int | str, caller: Caller) -> WebhookTestResponse:
        """Posts a signed `webhook.test` now and returns its result.

        Raises:
            NotFound: unknown_webhook.
        """
        _check(caller)
        row = _find(identifier)
        refresh_accounts(at_once=True)
        report = async_to_sync(_post_test)(row)
        return WebhookTestResponse(
            taken=report.is_success,
            http_status=report.status or None,
            error=report.error,
            duration_ms=report.duration_ms,
        )

    def deliveries(
        self, *, identifier: int | str, caller: Caller, state: str = "", after: int = 0, limit: int
    ) -> Deliveries:
        """Returns the past and open deliveries of an endpoint, by ascending id.

        Raises:
            NotFound: unknown_webhook.
        """
        _check(caller)
        endpoint = _find(identifier)
        rows = WebhookDelivery.objects.filter(endpoint_id=endpoint.pk, pk__gt=after)
        if state:
            rows = rows.filter(state=state)
        page = list(rows.order_by("pk")[:limit])
        events = StatusEvent.objects.in_bulk([row.event_id for row in page])
        return [_delivery(row, events.get(row.event_id)) for row in page]

    def newest(
        self, *, identifier: int | str, caller: Caller, state: str = "", before: int = 0, limit: int
    ) -> tuple[Deliveries, int | None]:
        """Returns deliveries of an endpoint, the newest first, and where the next page begins.

        No index has the states, so of MOST_SEEN deliveries those in the state are returned, which
        may be none. before: the id above them; 0 for the first page. The next page begins below
        the id that is returned; it is None at the end.

        Raises:
            NotFound: unknown_webhook.
        """
        _check(caller)
        rows = WebhookDelivery.objects.filter(endpoint_id=_find(identifier).pk).order_by("-pk")
        rows = rows.filter(pk__lt=before) if before else rows
        seen = list(rows.values_list("pk", "state")[: MOST_SEEN if state else limit + 1])
        keys = [key for key, its_state in seen if state in ("", its_state)]
        following = None
        if len(keys) > limit:
            following = keys[limit - 1]
        elif state and len(seen) == MOST_SEEN:
            following = seen[-1][0]
        found = WebhookDelivery.objects.in_bulk(keys[:limit])
        page = [found[key] for key in keys[:limit] if key in found]
        events = StatusEvent.objects.in_bulk([row.event_id for row in page])
        return [_delivery(row, events.get(row.event_id)) for row in page], following

    def replay(
        self, *, identifier: int | str, body: WebhookReplayBody, caller: Caller
    ) -> WebhookReplayResponse:
        """Delivers events again: given deliveries, or all events of a range of time.

        The range includes events from while the endpoint was disabled. At most 10,000 a call.

        Raises:
            NotFound: unknown_webhook.
            InvalidRequest: neither ids nor since, or both, or a time without a zone.
        """
        _check(caller)
        endpoint, now = _find(identifier), clock.now()
        _check_replay(body)
        with transaction.atomic():
            if body.since is None:
                rows = WebhookDelivery.objects.filter(endpoint_id=endpoint.pk, pk__in=body.ids)
                count = rows.update(
                    state=_State.WAITING, tries=0, fence=F("fence") + 1, next_at=now
                )
            else:
                count = WebhookDelivery.objects.replay(
                    endpoint.pk,
                    kinds=endpoint.events or KINDS,
                    since=body.since,
                    until=body.until or now,
                    now=now,
                    limit=_REPLAYED_AT_ONCE,
                )
            _log_action(caller, "webhook.replay", endpoint.pk, f"{count} events")
        return WebhookReplayResponse(replayed=count, more=count == _REPLAYED_AT_ONCE)


def _check(caller: Caller) -> None:
    if not caller.may(SCOPE):
        raise Refused(f"this needs the scope {SCOPE}", code="missing_scope", scope=SCOPE)


def _find(identifier: int | str) -> WebhookEndpoint:
    key = parse_key(str(identifier))
    row = WebhookEndpoint.objects.filter(pk=key).first() if key else None
    if row is None:
        raise NotFound(f"there is no webhook {identifier}", code="unknown_webhook")
    return row


def _development_hint(url: str) -> str:
    """Returns a hint for a URL that is refused only for its port or address."""
    try:
        check_url(url, allow_private=True)
    except AddressRefused:
        return ""
    return "; in development, CARILLON_WEBHOOK_ALLOW_PRIVATE=true allows any"


def _check_body(body: WebhookBody) -> None:
    errors = []
    try:
        check_url(body.url, allow_private=environment().webhook_allow_private)
    except AddressRefused as refusal:
        errors.append(FieldError("url", refusal.code, f"{refusal}{_development_hint(body.url)}"))
    unknown = [kind for kind in body.events if kind not in KINDS]
    if unknown:
        detail = f"{unknown[0]!r} is not an event; known: {', '.join(KINDS)}"
        errors.append(FieldError("events", "unknown_event", detail))
    if "\x00" in body.name:
        errors.append(FieldError("name", "invalid", "must not contain NUL"))
    if errors:
        raise InvalidRequest(errors)


def _kinds(body: WebhookBody) -> Sequence[str]:
    return sorted(set(body.events))


def _check_replay(body: WebhookReplayBody) -> None:
    errors = []
    if bool(body.ids) == (body.since is not None):
        errors.append(FieldError("since", "required", "give either ids or since"))
    for name, moment in (("since", body.since), ("until", body.until)):
        if moment is not None and moment.tzinfo is None:
            errors.append(FieldError(name, "invalid_time", "a time needs a zone, e.g. +00:00"))
    if errors:
        raise InvalidRequest(errors)


async def _post_test(row: WebhookEndpoint) -> DeliveryReport:
    client, now = new_client(), clock.now()
    try:
        body = body_of("webhook.test", now, {"endpoint_id": row.pk})
        return await post(client, row, f"test_{random_text.token_hex(12)}", body)
    finally:
        await client.close()


def _waiting(keys: Sequence[int]) -> dict[int, int]:
    rows = WebhookDelivery.objects.filter(endpoint_id__in=keys, next_at__isnull=False)
    counted = rows.values("endpoint_id").annotate(count=Count("id")).order_by()
    return dict(counted.values_list("endpoint_id", "count"))


def _to_response_now(row: WebhookEndpoint) -> WebhookResponse:
    return _to_response(row, _waiting([row.pk]).get(row.pk, 0))


def _to_response(row: WebhookEndpoint, waiting: int) -> WebhookResponse:
    return WebhookResponse(
        id=row.pk,
        name=row.name,
        url=row.url,
        events=list(row.events),
        active=row.active,
        disabled_reason=row.disabled_reason,
        failing_since=row.failing_since,
        hold_until=row.hold_until,
        waiting=waiting,
        created_by=row.created_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _with_secret(row: WebhookEndpoint, secret: str) -> WebhookSecretResponse:
    shown = _to_response_now(row)
    fields = {name: getattr(shown, name) for name in WebhookResponse.__struct_fields__}
    return WebhookSecretResponse(**fields, secret=secret)


def _delivery(row: WebhookDelivery, event: StatusEvent | None) -> WebhookDeliveryResponse:
    return WebhookDeliveryResponse(
        id=row.pk,
        event_id=row.event_id,
        event=event.kind if event else "",
        message_id=event.message_id if event else 0,
        code=event.code if event else "",
        happened_at=event.at if event else None,
        state=row.state,
        tries=row.tries,
        next_at=row.next_at,
        http_status=row.http_status,
        error=row.error,
        ended_at=row.ended_at,
    )


def _log_action(
    caller: Caller,
    action: str,
    key: int,
    reason: str = "",
    *,
    before: Values = None,
    after: Values = None,
) -> None:
    record_action(
        actor=caller.name,
        action=action,
        target=f"webhook:{key}",
        reason=reason,
        at=clock.now(),
        before=before,
        after=after,
    )
