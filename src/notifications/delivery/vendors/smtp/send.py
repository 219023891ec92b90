"""Email through an SMTP server, with persistent connections and compiled mail skeletons."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

from notifications.delivery.accounts import settings_of
from notifications.delivery.base import (
    Capabilities,
    NotificationChannelProvider,
    outcome_of,
    with_our_names,
)
from notifications.delivery.mail.mime import Mail, build_mail, mailbox
from notifications.delivery.vendors.smtp.dkim import DkimKey, published, read_keys, signed
from notifications.delivery.vendors.smtp.faults import (
    LOST_TEXTS,
    NOT_AN_ADDRESS,
    SENDER_TEXT,
    result_of,
)
from notifications.delivery.vendors.smtp.pool import SmtpPool
from notifications.delivery.vendors.smtp.replies import SmtpLost
from notifications.delivery.vendors.smtp.settings import Settings
from notifications.delivery.vendors.smtp.wire import SmtpServer
from notifications.domain.messages import Content, OutboundMessage, SendResult, Verdict
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.http.dns import txt_records

_DNS_S = 5.0
_CALL_SHARE = 0.9  # of the call's time: the rest is for the result to reach the caller


class SMTPEmailProvider(NotificationChannelProvider):
    """Passes mails to one SMTP server over `CARILLON_SMTP_CONNECTIONS` persistent connections.

    A failure before the content is written is retried, or is final if the server replies 5xx. A
    loss after that is uncertain. Refused credentials are a wrong setting of ours: RETRY with the
    code `auth`, so that a mistyped password loses no message.
    """

    key: ClassVar[str] = "smtp"
    capabilities: ClassVar[Capabilities] = Capabilities(
        channel="email", batch_size=5, concurrency=10, rate="14/s", attachments=True
    )

    def __init__(self, *, tls_context: ssl.SSLContext | None = None) -> None:
        """tls_context replaces the system's certificate authorities (for tests or private ones)."""
        settings, general = settings_of(Settings), environment()
        self._connections = settings.smtp_connections
        self._call_s = general.provider_timeout_seconds * _CALL_SHARE
        self._sender = general.email_from
        self._dkim = read_keys(settings.smtp_dkim_keys)
        server = SmtpServer(
            host=settings.smtp_host,
            port=settings.smtp_port,
            tls=settings.smtp_tls,
            user=settings.smtp_user,
            password=settings.smtp_password,
            greeting_name=greeting_name_of(general.public_url),
            tls_context=tls_context or tls_context_of(settings.smtp_tls, settings.smtp_user),
        )
        self._pool = SmtpPool(server, limit=self._connections)

    def calls_at_once(self) -> int:
        """Two for each connection: one mail is in flight, and the next one is queued."""
        return 2 * self._connections

    def batch_for(self, waiting: int) -> int:
        """Spreads few mails over the connections; of many mails, several share one write."""
        size = min(self._pool.group_size(self._call_s), waiting // self._connections)
        return max(1, min(self.capabilities.batch_size, size))

    async def close(self) -> None:
        """Closes the idle connections with QUIT; later mails open new ones."""
        self._pool.close()

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
        outbound = OutboundMessage(
            message_id=0,
            reference=str(message["reference"]),
            channel="email",
            recipient=recipient,
            content=Content(
                str(message.get("title", "")),
                str(message.get("body", "")),
                str(message.get("html", "")),
            ),
            sender=str(message.get("sender", "")),
            reply_to=str(message.get("reply_to", "")),
            headers=message.get("headers", {}),
            attachments=tuple(message.get("attachments", ())),
        )
        return outcome_of((await self.send_batch([outbound]))[0])

    async def send_batch(self, messages: Sequence[OutboundMessage]) -> list[SendResult]:
        """Sends mails; each has its own result, whatever the results of the others."""
        results: dict[int, SendResult] = {}
        mails: dict[int, Mail] = {}
        for place, message in enumerate(messages):
            if not await self.validate_recipient(message.recipient):
                results[place] = NOT_AN_ADDRESS
                continue
            try:
                mails[place] = self._mail_of(message)
            except ValueError as error:
                results[place] = SendResult(
                    Verdict.FAILED, error=str(error), error_code="invalid_message"
                )
        replies = await self._pool.send(list(mails.values()), timeout_s=self._call_s)
        for (place, mail), reply in zip(mails.items(), replies, strict=True):
            results[place] = result_of(mail, reply)
        return [results[place] for place in range(len(messages))]

    def _mail_of(self, message: OutboundMessage) -> Mail:
        content, now = message.content, clock.now().timestamp()
        mail = build_mail(
            sender=message.sender or self._sender,
            recipient=message.recipient,
            subject=content.title,
            text=content.body,
            html=content.html,
            reference=message.reference,
            date_s=now,
            reply_to=message.reply_to,
            headers=message.headers,
            attachments=message.attachments,
        )
        return signed(mail, self._dkim, at_s=int(now)) if self._dkim else mail

    async def examine(self) -> str:
        """Checks the login, the sender's form, and that each DKIM key is published."""
        wrong = [text for key in self._dkim if (text := await _unpublished(key))]
        try:
            offers_utf8 = await self._pool.check(timeout_s=self._call_s)
            if mailbox(self._sender, local_too=True).smtputf8 and not offers_utf8:
                wrong.insert(0, SENDER_TEXT)
        except SmtpLost as lost:
            wrong.insert(0, LOST_TEXTS[lost.code])
        return "; ".join(wrong)


async def _unpublished(key: DkimKey) -> str:
    """Returns what is wrong with a key's TXT record; empty if it is right."""
    try:
        texts = await txt_records(key.record_name, timeout_s=_DNS_S)
    except OSError as error:
        return f"DKIM: {key.record_name} cannot be read: {error}"
    if published(texts, key):
        return ""
    found = "contains another key" if texts else "is missing"
    return f"DKIM: the TXT record {key.record_name} {found}; it should be: {key.record}"


def tls_context_of(mode: str, user: str) -> ssl.SSLContext | None:
    """Returns the TLS context. `auto` without a user checks no certificate: it has no password."""
    if mode == "none":
        return None
    context = ssl.create_default_context()
    if mode == "auto" and not user:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def greeting_name_of(public_url: str) -> str:
    """Returns our name in the greeting (RFC 5321 4.1.4): a host, or an address in brackets."""
    host = urlsplit(public_url).hostname or socket.gethostname()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return f"[{'IPv6:' if address.version == 6 else ''}{address}]"
