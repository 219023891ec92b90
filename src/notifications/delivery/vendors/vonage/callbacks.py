"""Reads Vonage's status callbacks: signed JSON for each step of a message.

developer.vonage.com/en/messages/concepts/signed-webhooks and
developer.vonage.com/en/messages/concepts/messages-status-callbacks
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from directory.moments import read_moment
from notifications.delivery.accounts import environment_settings, settings_of
from notifications.delivery.callback_urls import reference_in
from notifications.delivery.callbacks.base import (
    NONSENSE,
    CallbackReader,
    CallbackRefused,
    CallbackUnreadable,
    IncomingCall,
)
from notifications.delivery.vendors.vonage.faults import code_of, kind_of
from notifications.delivery.vendors.vonage.settings import Settings
from notifications.delivery.vendors.vonage.tokens import claims_of
from notifications.domain.receipts import Receipt
from notifications.infra import clock


class VonageCallbacks(CallbackReader):
    """Checks the token in Authorization with the signature secret, and the body with its hash.

    The environment's secret overrides a stored one: a caller who may store an account must not be
    able to forge receipts, or STOP and START of other people.
    """

    key: ClassVar[str] = "vonage"

    def check(self, call: IncomingCall) -> None:
        secret = _secret()
        if not secret:
            raise CallbackRefused(self.missing_setting())
        given = call.headers.get("authorization", "")
        claims = claims_of(given, call.body, secret, clock.now().timestamp())
        if claims is None or not _is_ours(claims):
            raise CallbackRefused

    def missing_setting(self) -> str:
        return "" if _secret() else "set CARILLON_VONAGE_SIGNATURE_SECRET"

    def read(self, call: IncomingCall) -> list[Receipt]:
        event = read_event(call)
        if event.get("channel", "sms") != "sms":
            return []
        status, code = str(event.get("status", "")), ""
        if isinstance(event.get("error"), dict):
            code = code_of(event["error"])
        kind = kind_of(status, code)
        if kind is None:
            raise CallbackUnreadable(f"a status that Vonage does not document: {status[:20]}")
        try:
            at = read_moment(event["timestamp"]) if event.get("timestamp") else None
        except NONSENSE as error:
            raise CallbackUnreadable("the timestamp is invalid") from error
        return [
            Receipt(
                kind,
                at=at,
                reference=reference_in(self.key, call.query) or str(event.get("client_ref") or ""),
                provider_message_id=str(event.get("message_uuid") or ""),
                address=number_in(event, "to"),
                code=f"vonage_{code}" if code else "",
                detail=f"Vonage error {code}" if code else "",
            )
        ]


def read_event(call: IncomingCall) -> dict[str, Any]:
    """Returns the JSON object of a webhook.

    Raises:
        CallbackUnreadable: the body is not a JSON object.
    """
    try:
        found = json.loads(call.body)
    except NONSENSE as error:
        raise CallbackUnreadable("the body is not JSON") from error
    if not isinstance(found, dict):
        raise CallbackUnreadable("the body is not a JSON object")
    return found


def number_in(event: dict[str, Any], name: str) -> str:
    """Returns a number of an event in E.164 form: Vonage omits the plus."""
    number = str(event.get(name) or "")
    return f"+{number}" if number.isascii() and number.isdigit() else number


def _secret() -> str:
    outer = environment_settings(Settings).vonage_signature_secret
    return outer or settings_of(Settings).vonage_signature_secret


def _is_ours(claims: dict[str, Any]) -> bool:
    """Whether a token is for our application: an account's secret signs for all of them."""
    outer = environment_settings(Settings).vonage_application_id
    own, named = outer or settings_of(Settings).vonage_application_id, claims.get("application_id")
    return not own or not named or named == own
