"""The generic callback: for vendors and gateways that can be taught to sign by Standard Webhooks.

The body is one event or `{"events": [...]}`, an event `{event, reference or provider_message_id,
at?, address?, code?, detail?}`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings

from notifications.delivery.callbacks.base import (
    CallbackReader,
    CallbackRefused,
    CallbackUnreadable,
    IncomingCall,
)
from notifications.domain.receipts import Receipt, ReceiptKind
from notifications.infra import clock

_TOLERANCE_S = 300
_PREFIX = "whsec_"


class SignedCallbacks(CallbackReader):
    """webhook-signature is checked with CARILLON_CALLBACK_SECRET; a call older than five minutes is
    refused."""

    key: ClassVar[str] = "generic"

    def check(self, call: IncomingCall) -> None:
        headers = call.headers
        name, moment = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not name or not moment.isdigit():
            raise CallbackRefused
        if abs(clock.now().timestamp() - int(moment)) > _TOLERANCE_S:
            raise CallbackRefused("the callback's timestamp is more than five minutes away")
        signed = f"{name}.{moment}.".encode() + call.body
        wanted = base64.b64encode(hmac.digest(_key(), signed, hashlib.sha256)).decode()
        given = headers.get("webhook-signature", "").split()
        if not any(hmac.compare_digest(f"v1,{wanted}", each) for each in given):
            raise CallbackRefused

    def read(self, call: IncomingCall) -> list[Receipt]:
        try:
            found = json.loads(call.body)
        except ValueError as error:
            raise CallbackUnreadable("the body is not JSON") from error
        events = found.get("events", [found]) if isinstance(found, dict) else None
        if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
            raise CallbackUnreadable("the body is neither an event nor {events: [...]}")
        return [receipt_of(event) for event in events]


def receipt_of(event: dict[str, Any]) -> Receipt:
    """One event as a receipt.

    Raises:
        CallbackUnreadable: an unknown event, no message named, or a time that is none.
    """
    try:
        kind = ReceiptKind(str(event.get("event")))
        at = datetime.fromisoformat(event["at"]) if event.get("at") else None
    except (ValueError, TypeError) as error:
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


def _key() -> bytes:
    secret = settings.CALLBACK_SECRET
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise CallbackRefused("CARILLON_CALLBACK_SECRET is not whsec_ and base64") from error
