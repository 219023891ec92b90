"""Request and response bodies of status webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

Name = Annotated[str, msgspec.Meta(max_length=100)]
Url = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class WebhookBody(msgspec.Struct, kw_only=True):
    """An endpoint. events: what it is told; none named: everything."""

    url: Url
    name: Name = ""
    events: list[str] = []
    active: bool = True


class WebhookResponse(msgspec.Struct, kw_only=True):
    """An endpoint, without its secret. waiting: deliveries that are still to be made."""

    id: int
    name: str
    url: str
    events: list[str]
    active: bool
    disabled_reason: str
    failing_since: datetime | None
    hold_until: datetime | None
    waiting: int
    created_by: str
    created_at: datetime
    updated_at: datetime


class WebhookSecretResponse(WebhookResponse, kw_only=True):
    """An endpoint with its secret, which is shown this once; null where an Idempotency-Key replays
    the answer."""

    secret: str | None


class WebhookList(msgspec.Struct, kw_only=True):
    """A page of endpoints, the oldest first."""

    results: list[WebhookResponse]
    next: str | None = None
    previous: str | None = None


class WebhookDeliveryResponse(msgspec.Struct, kw_only=True):
    """The telling of one event. next_at: when it is tried (again); null when it has ended."""

    id: int
    event_id: int
    event: str
    message_id: int
    code: str
    happened_at: datetime | None
    state: str
    tries: int
    next_at: datetime | None
    http_status: int | None
    error: str
    ended_at: datetime | None


class WebhookDeliveryList(msgspec.Struct, kw_only=True):
    """A page of deliveries, the oldest first."""

    results: list[WebhookDeliveryResponse]
    next: str | None = None
    previous: str | None = None


class WebhookReplayBody(msgspec.Struct, kw_only=True):
    """Either deliveries by id, or a range of time: since <= event < until (now)."""

    ids: Annotated[list[int], msgspec.Meta(max_length=1000)] = []
    since: datetime | None = None
    until: datetime | None = None


class WebhookReplayResponse(msgspec.Struct, kw_only=True):
    """How many events are told again. more: the range held others; narrow it."""

    replayed: int
    more: bool


class WebhookTestResponse(msgspec.Struct, kw_only=True):
    """What the endpoint answered to a test. http_status: null when nothing came back."""

    taken: bool
    http_status: int | None
    error: str
    duration_ms: int
