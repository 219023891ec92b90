"""Reads Twilio's status callbacks: a signed form for each step of a message.

twilio.com/docs/usage/webhooks/webhooks-security and
twilio.com/docs/messaging/guides/track-outbound-message-status
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from typing import ClassVar
from urllib.parse import parse_qsl, urlsplit

from notifications.delivery.accounts import environment_settings, settings_of
from notifications.delivery.callback_urls import reference_in
from notifications.delivery.callbacks.base import (
    CallbackReader,
    CallbackRefused,
    CallbackUnreadable,
    IncomingCall,
)
from notifications.delivery.vendors.twilio.faults import kind_of
from notifications.delivery.vendors.twilio.settings import Settings
from notifications.domain.receipts import Receipt

_IN_FLIGHT = frozenset({"accepted", "scheduled", "queued", "sending"})


class TwilioCallbacks(CallbackReader):
    """Checks X-Twilio-Signature with the account's token. Our reference is in the URL.

    The environment's token overrides a stored one: a caller who may store an account must not be
    able to forge receipts, or STOP and START of other people.
    """

    key: ClassVar[str] = "twilio"

    def check(self, call: IncomingCall) -> None:
        token = (
            environment_settings(Settings).twilio_auth_token
            or settings_of(Settings).twilio_auth_token
        )
        given = call.headers.get("x-twilio-signature", "")
        expected = (signature_of(token, replace(call, url=url)) for url in spellings_of(call.url))
        if not token or not any(hmac.compare_digest(each, given) for each in expected):
            raise CallbackRefused

    def read(self, call: IncomingCall) -> list[Receipt]:
        form = dict(_form(call))
        status = form.get("MessageStatus") or form.get("SmsStatus", "")
        if status in _IN_FLIGHT:
            return []
        code = form.get("ErrorCode", "")
        kind = kind_of(status, code)
        if kind is None:
            raise CallbackUnreadable(f"a status that Twilio does not document: {status[:20]}")
        numeric = code.isascii() and code.isdigit()
        return [
            Receipt(
                kind,
                reference=reference_in(self.key, call.query),
                provider_message_id=form.get("MessageSid") or form.get("SmsSid", ""),
                address=form.get("To", ""),
                code=f"twilio_{code}" if numeric else "",
                detail=f"Twilio error {code}" if numeric else "",
            )
        ]


def spellings_of(url: str) -> tuple[str, ...]:
    """Returns a URL with and without its port: Twilio signs either, whichever URL it was given."""
    parts = urlsplit(url)
    host, port = parts.netloc, {"https": 443, "http": 80}.get(parts.scheme)
    bare = host.rpartition(":")[0] if parts.port is not None else host
    ported = host if parts.port is not None or port is None else f"{host}:{port}"
    return tuple(parts._replace(netloc=each).geturl() for each in dict.fromkeys((bare, ported)))


def signature_of(token: str, call: IncomingCall) -> str:
    """Returns the base64 of HMAC-SHA1 over the URL and the form's sorted names and values."""
    pairs = sorted(set(_form(call)))
    signed = call.url + "".join(name + value for name, value in pairs)
    digest = hmac.digest(token.encode(), signed.encode(), hashlib.sha1)
    return base64.b64encode(digest).decode()


def _form(call: IncomingCall) -> list[tuple[str, str]]:
    return parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True)
