"""The callbacks of every mail service that django-anymail knows, in its normalised form."""

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
_UNUSED = "unused:unused"  # a view is only read from here, or its signature is checked by us


class AnymailCallbacks(CallbackReader):
    """The service is the one of CARILLON_ANYMAIL_BACKEND.

    A service that signs is checked by its key among the backend's settings, any other by
    CARILLON_ANYMAIL_WEBHOOK_SECRET; with both, both. Without either nothing is taken.
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
        except Exception as error:  # its parsers raise what they like at what is no call of theirs
            raise CallbackRefused from error

    def missing_setting(self) -> str:
        try:
            name, _, settings, password = _configured()
        except CallbackRefused:
            return ""  # a service that reports nothing
        return unverifiable(name, settings, password)

    def read(self, call: IncomingCall) -> list[Receipt]:
        name, service, *_ = _configured()
        # What only checks may be absent by now; the call was checked when it came.
        own = dict.fromkeys(service.signed_by[:1], "unused") if service.always_signs else {}
        view = _made(service, {**own, "webhook_secret": _UNUSED})
        try:
            events = view.parse_events(request_of(call))
            found = [receipt_of(name, event) for event in events]
        except Exception as error:  # the same; an inbound message at this URL is a wrong setting
            words = f"the service's events cannot be read ({type(error).__name__})"
            raise CallbackUnreadable(words) from error
        return [receipt for receipt in found if receipt is not None]


def _configured() -> tuple[str, MailService, dict[str, Any], str]:
    """The service's name, what it is, the backend's settings and the password of callbacks.

    Of a password, and of keys that callbacks are signed with, the environment's go before stored
    ones: whoever may store an account does not get to say what became of messages.
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
    """Why nobody could tell a service's callbacks from anybody else's, and what to set."""
    service = SERVICES[name]
    signs = any(settings.get(each) for each in service.signed_by)
    if signs or (password and not service.always_signs):
        return ""
    keys = " or ".join(service.signed_by[:1])
    by_key = f"{keys} in CARILLON_ANYMAIL_SETTINGS" if keys else ""
    by_password = "" if service.always_signs else "CARILLON_ANYMAIL_WEBHOOK_SECRET (user:password)"
    wanted = " or ".join(each for each in (by_key, by_password) if each)
    return f"callbacks of {name} cannot be told from anybody else's: set {wanted}"


def _keys_of(service: MailService, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: settings[name] for name in service.signed_by if settings.get(name)}


def _made(service: MailService, own: Mapping[str, Any]) -> Any:
    try:
        view = import_string(f"anymail.webhooks.{service.view}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AnymailNotSupportedWarning)  # of SendGrid, for years
            return view(**own)
    except Exception as error:  # also what a cryptographic library says of a key
        raise CallbackRefused("a webhook setting of CARILLON_ANYMAIL_SETTINGS is wrong") from error


def _url_with(password: str, url: str) -> str:
    """The address as the service was given it, which is what Mandrill signs."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{password}@{rest}" if password else url


def _check_svix(secret: str, call: IncomingCall) -> None:
    """Resend signs by Svix, which is Standard Webhooks under other names of headers."""
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
    """An anymail event as a receipt; None for what says nothing of a message."""
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
    """A call as a request of Django's, which anymail's views read."""
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
