"""Reads the callbacks of every mail service of django-anymail, in its normalised form."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from anymail.exceptions import AnymailNotSupportedWarning
from django.core.handlers.wsgi import WSGIRequest
from django.utils.module_loading import import_string

from notifications.delivery.accounts import environment_settings, settings_of
from notifications.delivery.callbacks.base import (
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
from notifications.delivery.vendors.anymail.bounces import kind_by_raw
from notifications.delivery.vendors.anymail.services import SERVICES, MailService, service_name
from notifications.delivery.vendors.anymail.settings import Settings
from notifications.domain.receipts import Receipt, ReceiptKind
from notifications.infra import clock

_KINDS = {
    "sent": ReceiptKind.SENT,
    "delivered": ReceiptKind.DELIVERED,
    "deferred": ReceiptKind.DEFERRED,
    "bounced": ReceiptKind.BOUNCED,
    "rejected": ReceiptKind.FAILED,
    "failed": ReceiptKind.FAILED,
    "complained": ReceiptKind.COMPLAINED,
    "unsubscribed": ReceiptKind.UNSUBSCRIBED,
    "opened": ReceiptKind.OPENED,
    "clicked": ReceiptKind.CLICKED,
}
_UNUSED = "unused:unused"  # the view only parses, or this module checks the signature


class AnymailCallbacks(CallbackReader):
    """Reads the callbacks of the service in CARILLON_ANYMAIL_BACKEND.

    The key in the backend's settings verifies a service that signs. CARILLON_ANYMAIL_WEBHOOK_SECRET
    verifies any other. With both, both are checked. Without either, every callback is refused.
    """

    key: ClassVar[str] = "anymail"

    def check(self, call: IncomingCall) -> None:
        name, service, settings, password = _configured()
        missing = unverifiable(name, settings, password)
        if missing:
            raise CallbackRefused(missing)
        signed = name == "resend" and bool(settings.get("signing_secret"))
        try:
            if signed:
                _check_svix(str(settings["signing_secret"]), call)
            own = {} if signed else _keys_of(service, settings)
            if password or signed:
                own["webhook_secret"] = password or _UNUSED
            if name == "mandrill":
                own["webhook_url"] = settings.get("webhook_url") or _url_with(password, call.url)
            view = _made(service, own)
            if password or not signed:
                view.run_validators(request_of(call))
        except CallbackRefused:
            raise
        except Exception as error:  # anymail's parsers raise any exception for a foreign call
            raise CallbackRefused from error

    def missing_setting(self) -> str:
        try:
            name, _, settings, password = _configured()
        except CallbackRefused:
            return ""  # the service sends no callbacks
        return unverifiable(name, settings, password)

    def read(self, call: IncomingCall) -> list[Receipt]:
        name, service, *_ = _configured()
        # Keys that only verify may be missing now: the call was verified on arrival.
        own = dict.fromkeys(service.signed_by[:1], "unused") if service.always_signs else {}
        view = _made(service, {**own, "webhook_secret": _UNUSED})
        try:
            events = view.parse_events(request_of(call))
            found = [receipt_of(name, event) for event in events]
        except Exception as error:  # as above; a wrong setting may send inbound mail to this URL
            text = f"the service's events cannot be read ({type(error).__name__})"
            raise CallbackUnreadable(text) from error
        return [receipt for receipt in found if receipt is not None]


def _configured() -> tuple[str, MailService, dict[str, Any], str]:
    """Returns the service's name, its entry, the backend's settings and the callback password.

    The environment's password and signing keys override stored ones: a caller who may store an
    account must not be able to forge receipts.
    """
    given = settings_of(Settings)
    name = service_name(given.anymail_backend)
    if not name or not SERVICES[name].view:
        raise CallbackRefused("CARILLON_ANYMAIL_BACKEND names no service with callbacks")
    service, outer = SERVICES[name], environment_settings(Settings)
    settings = json.loads(given.anymail_settings or "{}")
    if service_name(outer.anymail_backend) == name:
        settings |= _keys_of(service, json.loads(outer.anymail_settings or "{}"))
    return name, service, settings, outer.anymail_webhook_secret or given.anymail_webhook_secret


def unverifiable(name: str, settings: Mapping[str, Any], password: str) -> str:
    """Returns why a service's callbacks cannot be verified, and what to set; empty if they can."""
    service = SERVICES[name]
    signs = any(settings.get(each) for each in service.signed_by)
    if signs or (password and not service.always_signs):
        return ""
    keys = " or ".join(service.signed_by[:1])
    by_key = f"{keys} in CARILLON_ANYMAIL_SETTINGS" if keys else ""
    by_password = "" if service.always_signs else "CARILLON_ANYMAIL_WEBHOOK_SECRET (user:password)"
    wanted = " or ".join(each for each in (by_key, by_password) if each)
    return f"callbacks of {name} cannot be verified: set {wanted}"


def _keys_of(service: MailService, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: settings[name] for name in service.signed_by if settings.get(name)}


def _made(service: MailService, own: Mapping[str, Any]) -> Any:
    try:
        view = import_string(f"anymail.webhooks.{service.view}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AnymailNotSupportedWarning)  # about SendGrid
            return view(**own)
    except Exception as error:  # a cryptographic library may raise its own error for a key
        raise CallbackRefused("a webhook setting of CARILLON_ANYMAIL_SETTINGS is wrong") from error


def _url_with(password: str, url: str) -> str:
    """Returns the URL that was given to the service, which is what Mandrill signs."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{password}@{rest}" if password else url


def _check_svix(secret: str, call: IncomingCall) -> None:
    """Checks the signature of Resend: Svix is Standard Webhooks with other header names."""
    headers = {
        f"webhook-{name}": call.headers.get(f"svix-{name}", "")
        for name in ("id", "timestamp", "signature")
    }
    try:
        key = signing_key(secret)
    except UnusableSecret as error:
        raise CallbackRefused("signing_secret of Resend is not whsec_ and base64") from error
    if not is_signed(key, headers, call.body, now=clock.now()):
        raise CallbackRefused


def receipt_of(service: str, event: Any) -> Receipt | None:
    """Returns the receipt of an anymail event; None for an event that is about no message."""
    kind = _KINDS.get(getattr(event, "event_type", ""))
    if kind is None:
        return None
    why = getattr(event, "reject_reason", None)
    return Receipt(
        kind_by_raw(service, kind, event.esp_event),
        at=event.timestamp,
        reference=str((event.metadata or {}).get("reference", "")),
        provider_message_id=str(event.message_id or ""),
        address=str(event.recipient or ""),
        code=f"anymail_{event.event_type}" + (f"_{why}" if why else ""),
    )


def request_of(call: IncomingCall) -> WSGIRequest:
    """Returns a call as a Django request, which anymail's views read."""
    parts = urlsplit(call.url)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": call.method,
        "PATH_INFO": parts.path,
        "QUERY_STRING": parts.query,
        "SERVER_NAME": parts.hostname or "",
        "SERVER_PORT": str(parts.port or (443 if parts.scheme == "https" else 80)),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": call.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(call.body)),
        "wsgi.url_scheme": parts.scheme,
        "wsgi.input": io.BytesIO(call.body),
    }
    environ |= {
        f"HTTP_{name.upper().replace('-', '_')}": value for name, value in call.headers.items()
    }
    return WSGIRequest(environ)
