"""Email through any HTTP service of django-anymail: Mailgun, Postmark, SendGrid, ...

Anymail builds the request and reads the response. Our HTTP client makes the call: every service has
the common timeouts, blocks no thread, and reports whether the request may have been written.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from email.encoders import encode_base64
from email.message import Message
from email.mime.base import MIMEBase
from typing import Any, ClassVar

import requests
from anymail.backends.base_requests import AnymailRequestsBackend
from anymail.exceptions import AnymailError, AnymailNotSupportedWarning
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMultiAlternatives

from notifications.delivery.accounts import settings_of
from notifications.delivery.base import Capabilities, NotificationChannelProvider, with_our_names
from notifications.delivery.http_responses import (
    call_failed,
    not_configured,
)
from notifications.delivery.mail.mime import mailbox
from notifications.delivery.vendors.anymail.faults import outcome_of
from notifications.delivery.vendors.anymail.services import backend_class
from notifications.delivery.vendors.anymail.settings import Settings
from notifications.domain.messages import Attachment
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.http.client import HttpClient, HttpFault

_CALL_SHARE = 0.9
_BREAK = re.compile(r"[\r\n\0]")
_OURS = frozenset({"user-agent", "accept-encoding", "connection", "content-length"})


class AnymailEmailProvider(NotificationChannelProvider):
    """Passes a mail to the service in CARILLON_ANYMAIL_BACKEND.

    The mail carries our reference as metadata and the category as a tag; anymail's webhooks return
    both. A recipient that the service calls invalid is dead.
    """

    key: ClassVar[str] = "anymail"
    capabilities: ClassVar[Capabilities] = Capabilities(
        channel="email",
        batch_size=1,
        concurrency=20,
        rate="14/s",
        attachments=True,
        receipts=True,
    )

    needs: ClassVar[tuple[str, ...]] = Settings.needs

    def __init__(self) -> None:
        given = settings_of(Settings)
        self._name = given.anymail_backend
        self._settings = json.loads(given.anymail_settings or "{}")
        self._sender = environment().email_from
        self._made: AnymailRequestsBackend | None = None
        self._client = HttpClient(
            timeout_s=environment().provider_timeout_seconds * _CALL_SHARE,
            connections=self.capabilities.concurrency,
        )

    async def close(self) -> None:
        await self._client.close()
        if self._made is not None:
            self._made.close()

    async def validate_recipient(self, recipient: str) -> bool:
        """Whether this is one address that mail can carry."""
        try:
            mailbox(recipient)
        except ValueError:
            return False
        return True

    async def send(self, recipient: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Sends one mail: `title` is the subject, `body` and `html` the parts."""
        message = with_our_names(message)
        now = clock.now()
        try:
            backend = self._backend()
        except (ImportError, ImproperlyConfigured, TypeError, ValueError) as error:
            text = f"CARILLON_ANYMAIL_BACKEND and _SETTINGS: {type(error).__name__}"
            return not_configured(text)
        try:
            mail = mail_of(recipient, message, message.get("sender") or self._sender)
            payload = backend.build_message_payload(mail, backend.send_defaults)
            prepared = prepare(backend, payload)
        except (AnymailError, ValueError) as error:
            text = f"anymail cannot send this mail: {type(error).__name__}"
            return {"success": False, "error": text, "error_code": "invalid_message"}
        try:
            response = await self._client.request(
                prepared.method or "POST",
                prepared.url or "",
                headers=_headers_of(prepared),
                body=_bytes_of(prepared),
            )
        except HttpFault as fault:
            return call_failed(fault)
        return outcome_of(backend, payload, mail, response, now)

    async def examine(self) -> str:
        """Checks that the backend exists and has its settings. The services share no status API."""
        try:
            self._backend()
        except (ImportError, ImproperlyConfigured, TypeError, ValueError) as error:
            return f"the backend cannot be made: {str(error).splitlines()[0][:200]}"
        return ""

    def _backend(self) -> AnymailRequestsBackend:
        if self._made is None:
            self._made = backend_of(self._name, self._settings)
            self._made.open()
        return self._made


def backend_of(name: str, settings: Mapping[str, Any]) -> AnymailRequestsBackend:
    """Returns the backend of a service: `postmark`, or the dotted path of a class.

    Raises:
        ImportError: no backend has that name.
        ImproperlyConfigured: one of its settings is missing.
        ValueError: it is not a backend class that sends by HTTP (SES has its own provider).
    """
    made = backend_class(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnymailNotSupportedWarning)  # about SendGrid
        return made(ignore_unsupported_features=True, **settings)


def mail_of(recipient: str, message: Mapping[str, Any], sender: str) -> EmailMultiAlternatives:
    """Returns a mail in the form that anymail accepts.

    Raises:
        ValueError: a field that becomes a header contains a line break.
    """
    fields = (sender, recipient, message.get("title", ""), message.get("reply_to") or "")
    if any(_BREAK.search(str(text)) for text in (*fields, *message.get("headers", {}).values())):
        raise ValueError("a header contains a line break")
    body, html = str(message.get("body", "")), str(message.get("html", ""))
    reply_to = message.get("reply_to")
    mail = EmailMultiAlternatives(
        subject=str(message.get("title", "")),
        body=body,
        from_email=sender,
        to=[recipient],
        reply_to=[reply_to] if reply_to else None,
        headers=dict(message.get("headers", {})),
    )
    if html:
        mail.attach_alternative(html, "text/html")
    for file in message.get("attachments", ()):
        _attach(mail, file)
    # Anymail reads these from any mail; Django's class does not declare them.
    mail.metadata = {"reference": str(message.get("reference", ""))}  # type: ignore[attr-defined]
    mail.tags = [message["category"]] if message.get("category") else []  # type: ignore[attr-defined]
    return mail


def _attach(mail: EmailMultiAlternatives, file: Attachment) -> None:
    """Attaches a file; a text in the charset of its type, because Django assumes UTF-8."""
    head = Message()
    head["Content-Type"] = file.content_type
    charset = head.get_content_charset()
    if head.get_content_maintype() != "text" or charset is None:
        mail.attach(file.filename, file.content, file.content_type)
        return
    try:
        file.content.decode(charset)
    except (LookupError, UnicodeDecodeError):
        mail.attach(file.filename, file.content, "application/octet-stream")
        return
    part = MIMEBase("text", head.get_content_subtype())
    part.replace_header("Content-Type", file.content_type)
    part.set_payload(file.content)
    encode_base64(part)
    part.add_header("Content-Disposition", "attachment", filename=file.filename)
    mail.attach(part)


def prepare(backend: AnymailRequestsBackend, payload: Any) -> requests.PreparedRequest:
    """Returns the request that anymail would send."""
    given = payload.get_request_params(backend.api_url)
    names = ("method", "url", "headers", "files", "data", "params", "auth", "json")
    request = requests.Request(**{name: given[name] for name in names if name in given})
    prepared: requests.PreparedRequest = backend.session.prepare_request(request)
    return prepared


def _headers_of(prepared: requests.PreparedRequest) -> dict[str, str]:
    return {
        name: value.decode("latin-1") if isinstance(value, bytes) else value
        for name, value in prepared.headers.items()
        if name.lower() not in _OURS
    }


def _bytes_of(prepared: requests.PreparedRequest) -> bytes:
    body = prepared.body or b""
    if isinstance(body, str):
        return body.encode()
    if not isinstance(body, bytes):
        raise ValueError("a streamed body")  # anymail builds none
    return body
