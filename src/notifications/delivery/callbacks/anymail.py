"""The callbacks of every mail service that django-anymail knows, in its normalised form."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from anymail.exceptions import AnymailError, AnymailWebhookValidationFailure
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIRequest
from django.utils.module_loading import import_string

from notifications.delivery.accounts import account
from notifications.delivery.callbacks.base import (
    CallbackReader,
    CallbackRefused,
    CallbackUnreadable,
    IncomingCall,
)
from notifications.domain.receipts import Receipt, ReceiptKind

_VIEWS = {
    "brevo": "brevo.BrevoTrackingWebhookView",
    "mailersend": "mailersend.MailerSendTrackingWebhookView",
    "mailgun": "mailgun.MailgunTrackingWebhookView",
    "mailjet": "mailjet.MailjetTrackingWebhookView",
    "mailtrap": "mailtrap.MailtrapTrackingWebhookView",
    "mandrill": "mandrill.MandrillCombinedWebhookView",
    "postal": "postal.PostalTrackingWebhookView",
    "postmark": "postmark.PostmarkTrackingWebhookView",
    "resend": "resend.ResendTrackingWebhookView",
    "sendgrid": "sendgrid.SendGridTrackingWebhookView",
    "sparkpost": "sparkpost.SparkPostTrackingWebhookView",
    "unisender_go": "unisender_go.UnisenderGoTrackingWebhookView",
}
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
_NOT_THE_ADDRESS = frozenset({"timed_out", "blocked", "other"})


class AnymailCallbacks(CallbackReader):
    """The service is the one of CARILLON_ANYMAIL_BACKEND.

    A service that signs is checked by its key (`..._webhook_key` among the backend's settings), any
    other by CARILLON_ANYMAIL_WEBHOOK_SECRET; without either nothing is taken.
    """

    key: ClassVar[str] = "anymail"

    def check(self, call: IncomingCall) -> None:
        view = self._view()
        try:
            view.run_validators(request_of(call))
        except AnymailWebhookValidationFailure as error:
            raise CallbackRefused from error

    def read(self, call: IncomingCall) -> list[Receipt]:
        view = self._view()
        try:
            events = view.parse_events(request_of(call))
        except (AnymailError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CallbackUnreadable("the service's events cannot be read") from error
        found = (receipt_of(event) for event in events)
        return [receipt for receipt in found if receipt is not None]

    def _view(self) -> Any:
        given = account(self.key)
        name = given.anymail_backend.rpartition("anymail.backends.")[2].partition(".")[0]
        if name not in _VIEWS:
            raise CallbackRefused("CARILLON_ANYMAIL_BACKEND names no service with callbacks")
        settings = json.loads(given.anymail_settings or "{}")
        own: dict[str, Any] = {key: text for key, text in settings.items() if "webhook" in key}
        if given.anymail_webhook_secret:
            own["webhook_secret"] = given.anymail_webhook_secret
        view = import_string(f"anymail.webhooks.{_VIEWS[name]}")
        if not view.warn_if_no_basic_auth or "webhook_secret" in own:
            return _made(view, own)
        raise CallbackRefused("set CARILLON_ANYMAIL_WEBHOOK_SECRET to `user:password`")


def _made(view: Any, own: Mapping[str, Any]) -> Any:
    try:
        return view(**own)
    except (ImproperlyConfigured, TypeError) as error:
        raise CallbackRefused("a webhook setting of CARILLON_ANYMAIL_SETTINGS is wrong") from error


def receipt_of(event: Any) -> Receipt | None:
    """An anymail event as a receipt; None for what says nothing of a message."""
    kind = _KINDS.get(getattr(event, "event_type", ""))
    if kind is None:
        return None
    why = getattr(event, "reject_reason", None)
    if kind is ReceiptKind.BOUNCED and why in _NOT_THE_ADDRESS:
        kind = ReceiptKind.FAILED
    return Receipt(
        kind,
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
