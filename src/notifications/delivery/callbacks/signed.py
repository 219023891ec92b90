"""The generic callback, for vendors and gateways that can sign by Standard Webhooks.

The body is one event or `{"events": [...]}`, an event `{event, reference or provider_message_id,
at?, address?, code?, detail?}`.
"""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings

from directory.moments import read_moment_or_wall_time
from notifications.delivery.callbacks.base import (
    NONSENSE,
    CallbackReader,
    CallbackRefused,
    CallbackUnreadable,
    IncomingCall,
)
from notifications.delivery.protocols.standard_webhooks import (
    UnusableSecret,
    is_signed,
    signing_key,
)
from notifications.domain.receipts import Receipt, ReceiptKind
from notifications.infra import clock


class SignedCallbacks(CallbackReader):
    """Checks webhook-signature with CARILLON_CALLBACK_SECRET.

    A call whose time differs from ours by more than five minutes is refused.
    """

    def check(self, call: IncomingCall) -> None:
        try:
            key = signing_key(settings.CALLBACK_SECRET)
        except UnusableSecret as error:
            raise CallbackRefused("CARILLON_CALLBACK_SECRET is not whsec_ and base64") from error
        if not is_signed(key, call.headers, call.body, now=clock.now()):
            raise CallbackRefused(
                "the signature is missing, wrong or more than five minutes away:"
                " check that the secret is the vendor's"
            )

    def read(self, call: IncomingCall) -> list[Receipt]:
        try:
            found = json.loads(call.body)
        except NONSENSE as error:
            raise CallbackUnreadable("the body is not JSON") from error
        events = found.get("events", [found]) if isinstance(found, dict) else None
        if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
            raise CallbackUnreadable("the body is neither an event nor {events: [...]}")
        return [receipt_of(event) for event in events]


def receipt_of(event: dict[str, Any]) -> Receipt:
    """Returns the receipt of one event.

    Raises:
        CallbackUnreadable: the event is unknown, names no message or has an invalid time.
    """
    try:
        kind = ReceiptKind(str(event.get("event")))
        at = read_moment_or_wall_time(event["at"]) if event.get("at") not in (None, "") else None
    except NONSENSE as error:
        raise CallbackUnreadable("an event has an unknown kind or time") from error
    texts = {
        name: str(event.get(name) or "")
        for name in ("reference", "provider_message_id", "address", "code", "detail")
    }
    if not texts["reference"] and not texts["provider_message_id"]:
        raise CallbackUnreadable("an event names no message")
    if at is not None and at.tzinfo is None:
        raise CallbackUnreadable("an event's time has no zone")
    return Receipt(kind, at=at, **texts)
