"""Request and response bodies of status webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from notifications.domain.status_events import KINDS
from notifications.infra.field_types import NextPage, PreviousPage, choice
from notifications.models import WebhookDelivery

EventKind = Annotated[
    str, choice("EventKind", KINDS, "An event that an endpoint can subscribe to.")
]
DeliveryState = Annotated[
    str,
    choice(
        "WebhookDeliveryState",
        WebhookDelivery.State.values,
        "The state of a delivery. `delivered`: the endpoint responded with a 2xx. `failed`: every"
        " attempt failed.",
    ),
]
Name = Annotated[
    str,
    msgspec.Meta(
        max_length=100,
        description="What the endpoint is for, up to 100 characters.",
        examples=["billing service"],
    ),
]
Url = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=1000,
        description="The URL to which events are posted.",
        examples=["https://example.com/hooks/carillon"],
    ),
]


class WebhookBody(msgspec.Struct, kw_only=True):
    """An endpoint of status webhooks."""

    url: Url
    name: Name = ""

    events: list[EventKind] = []
    """The events that it receives; empty for all. Example: `["message.failed"]`"""

    active: bool = True
    """Whether it receives events."""


class WebhookResponse(msgspec.Struct, kw_only=True):
    """An endpoint of status webhooks, without its secret."""

    id: int
    """The integer id of the endpoint. Example: `2`"""

    name: Name
    url: Url

    events: list[EventKind]
    """The events that it receives; empty for all. Example: `["message.failed"]`"""

    active: bool
    """Whether it receives events."""

    disabled_reason: str
    """Why the service disabled it; empty when it did not. Example: `no success for 5 days`"""

    failing_since: datetime | None
    """Since when every delivery failed (RFC 3339), or null."""

    hold_until: datetime | None
    """Until when nothing is posted, after failures (RFC 3339), or null."""

    waiting: int
    """The number of events that are not delivered yet. Example: `0`"""

    created_by: str
    """Who made it. Example: `user:1`"""

    created_at: datetime
    """When it was made (RFC 3339)."""

    updated_at: datetime
    """When it was last changed (RFC 3339)."""


class WebhookSecretResponse(WebhookResponse, kw_only=True):
    """An endpoint with its signing secret, which is shown once."""

    secret: str | None
    """The signing secret; null when an `Idempotency-Key` replays the response.
    Example: `whsec_MfKQ9r8GKYqrTwjU`"""


class WebhookList(msgspec.Struct, kw_only=True):
    """A page of endpoints, the oldest first."""

    results: list[WebhookResponse]
    """The endpoints of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class WebhookDeliveryResponse(msgspec.Struct, kw_only=True):
    """The delivery of one event to an endpoint."""

    id: int
    """The integer id of the delivery. Example: `55`"""

    event_id: int
    """The integer id of the event. Example: `201`"""

    event: EventKind

    message_id: int
    """The integer id of the message; 0 when the event is about none. Example: `1001`"""

    code: str
    """The code of the reason or error; empty for none. Example: `hard_bounce`"""

    happened_at: datetime | None
    """When the event happened (RFC 3339); null after the event was removed."""

    state: DeliveryState

    tries: int
    """The number of attempts so far. Example: `1`"""

    next_at: datetime | None
    """When the next attempt is made (RFC 3339); null when the delivery has ended."""

    http_status: int | None
    """The HTTP status of the last attempt; null without a response. Example: `200`"""

    error: str
    """The error of the last attempt; empty for none. Example: `connection refused`"""

    ended_at: datetime | None
    """When the delivery ended (RFC 3339), or null."""


class WebhookDeliveryList(msgspec.Struct, kw_only=True):
    """A page of deliveries, the oldest first."""

    results: list[WebhookDeliveryResponse]
    """The deliveries of this page."""

    next: NextPage = None
    previous: PreviousPage = None


class WebhookReplayBody(msgspec.Struct, kw_only=True):
    """The events to deliver again: deliveries by id, or events of a time."""

    ids: Annotated[list[int], msgspec.Meta(max_length=1000)] = []
    """The integer ids of up to 1,000 deliveries. Example: `[55, 56]`"""

    since: datetime | None = None
    """Events at this time or later (RFC 3339)."""

    until: datetime | None = None
    """Events before this time (RFC 3339); left out, until now."""


class WebhookReplayResponse(msgspec.Struct, kw_only=True):
    """Events are delivered again."""

    replayed: int
    """The number of events. Example: `2`"""

    more: bool
    """Whether the time held more events than one call replays: give a shorter one."""


class WebhookTestResponse(msgspec.Struct, kw_only=True):
    """The response of an endpoint to a test."""

    taken: bool
    """Whether the endpoint responded with a 2xx."""

    http_status: int | None
    """The HTTP status; null without a response. Example: `200`"""

    error: str
    """The error; empty for none. Example: `connection refused`"""

    duration_ms: int
    """How long the call took, in milliseconds. Example: `80`"""
