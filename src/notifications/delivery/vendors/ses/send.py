"""Email through Amazon SES, API version 2: SendEmail for one mail, SendBulkEmail for many.

Shapes: docs.aws.amazon.com/ses/latest/APIReference-V2. Tests compare the requests with AWS's
service model and with those of the AWS SDK.
"""

from __future__ import annotations

import base64
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from notifications.delivery.accounts import settings_of
from notifications.delivery.base import (
    Capabilities,
    NotificationChannelProvider,
    payload_of,
    result_of,
    with_our_names,
)
from notifications.delivery.http_responses import (
    accepted,
    call_failed,
    json_of,
    not_configured,
    refused,
    unclear,
)
from notifications.delivery.mail.mime import build_mail, mailbox
from notifications.delivery.vendors.ses.aws import AwsSigner, NoCredentials
from notifications.delivery.vendors.ses.faults import ACCOUNT, LATER, meaning_of
from notifications.delivery.vendors.ses.settings import Settings
from notifications.domain.messages import OutboundMessage, SendResult
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.http.client import HttpClient, HttpFault, Response

_CALL_SHARE = 0.9
_MOST_IN_BULK = 50
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_-]")
REFERENCE_TAG = "CarillonReference"


class AWSSESEmailProvider(NotificationChannelProvider):
    """Passes mails to SES: a single mail as finished MIME, several mails as one bulk request.

    Every event returns the tags NotificationType, Priority and CarillonReference. SES replaces the
    Message-ID. SES has no idempotency.
    """

    key: ClassVar[str] = "ses"
    capabilities: ClassVar[Capabilities] = Capabilities(
        channel="email",
        batch_size=_MOST_IN_BULK,
        concurrency=20,
        rate="14/s",
        attachments=True,
        receipts=True,
    )

    def __init__(
        self, aws_access_key: str = "", aws_secret_key: str = "", region: str = ""
    ) -> None:
        """Without arguments it uses the account of the settings, or of the machine's role."""
        given = settings_of(Settings)
        own_key = bool(aws_access_key)
        self._sender = environment().email_from
        self._configuration_set = given.ses_configuration_set
        region = region or given.ses_region
        self._base = given.ses_base_url or f"https://email.{region}.amazonaws.com"
        self._signer = AwsSigner(
            service="ses",
            region=region,
            key_id=aws_access_key or given.ses_access_key_id,
            secret=aws_secret_key or given.ses_secret_access_key,
            token="" if own_key else given.ses_session_token,
        )
        self._client = HttpClient(
            timeout_s=environment().provider_timeout_seconds * _CALL_SHARE,
            connections=self.capabilities.concurrency,
        )

    async def close(self) -> None:
        await self._client.close()

    async def validate_recipient(self, recipient: str) -> bool:
        """Whether this is one address that SES accepts: ASCII before the @."""
        try:
            return not mailbox(recipient).smtputf8
        except ValueError:
            return False

    async def send_batch(self, messages: Sequence[OutboundMessage]) -> list[SendResult]:
        """Makes one call for each group of mails with the same sender, reply address and parts."""
        if len(messages) == 1:
            return await super().send_batch(messages)
        results: dict[int, SendResult] = {}
        groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        for at, message in enumerate(messages):
            groups[await self._group_of(at, message)].append(at)
        for places in groups.values():
            part = [messages[at] for at in places]
            found = await self._bulk(part) if len(part) > 1 else await super().send_batch(part)
            results.update(zip(places, found, strict=True))
        return [results[at] for at in range(len(messages))]

    async def _group_of(self, at: int, message: OutboundMessage) -> tuple[Any, ...]:
        """Returns the key of a mail's bulk request; a mail that fits in none has its own key."""
        parts = (bool(message.content.body), bool(message.content.html))
        ready = await self.validate_recipient(message.recipient) and any(parts)
        if not ready or message.attachments or not message.content.title.isprintable():
            return ("alone", at)
        return (message.sender, message.reply_to, *parts)

    async def send(self, recipient: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Sends one mail: `title` is the subject, `body` and `html` the parts."""
        message = with_our_names(message)
        now = clock.now()
        try:
            body = self._request_for(recipient, message, now)
        except ValueError as error:
            return {"success": False, "error": str(error), "error_code": "invalid_message"}
        try:
            response = await self._post("/v2/email/outbound-emails", body)
        except NoCredentials as error:
            return not_configured(error.detail, error.code)
        except HttpFault as fault:
            return call_failed(fault)
        if response.status != 200:
            return refused(response, now, **meaning_of(response))
        name = json_of(response).get("MessageId")
        if not isinstance(name, str) or not name:
            return unclear(response, "HTTP 200 without a message id: not SES, or cut off")
        return accepted(name, response)

    async def examine(self) -> str:
        """Checks that the account may send, and has left SES's sandbox."""
        try:
            response = await self._call("GET", "/v2/email/account", b"")
        except NoCredentials as error:
            return error.detail
        except HttpFault as fault:
            return fault.detail
        if response.status != 200:
            return f"SES responds HTTP {response.status}: check the key and the region"
        found = json_of(response)
        if not found.get("SendingEnabled", True):
            return "sending is paused for this account"
        if not found.get("ProductionAccessEnabled", True):
            return "the account is in SES's sandbox: only verified addresses get mail"
        return ""

    async def _post(self, path: str, request: Mapping[str, Any]) -> Response:
        return await self._call("POST", path, json.dumps(request, ensure_ascii=False).encode())

    async def _call(self, method: str, path: str, body: bytes) -> Response:
        url = self._base + path
        plain = {"Content-Type": "application/json"} if body else {}
        headers = await self._signer.headers(method, url, headers=plain, body=body)
        return await self._client.request(method, url, headers=headers, body=body)

    def _request_for(
        self, recipient: str, message: Mapping[str, Any], now: datetime
    ) -> dict[str, Any]:
        mail = build_mail(
            sender=message.get("sender") or self._sender,
            recipient=recipient,
            subject=str(message.get("title", "")),
            text=str(message.get("body", "")),
            html=str(message.get("html", "")),
            reference=str(message["reference"]),
            date_s=now.timestamp(),
            reply_to=message.get("reply_to", ""),
            headers=message.get("headers", {}),
            attachments=tuple(message.get("attachments", ())),
        )
        return {
            **self._common(message.get("sender", "")),
            "Destination": {"ToAddresses": [mail.recipient]},
            "Content": {"Raw": {"Data": base64.b64encode(mail.content).decode()}},
            "EmailTags": tags_of(message),
        }

    def _common(self, sender: str) -> dict[str, Any]:
        common = {"FromEmailAddress": mailbox(sender or self._sender, local_too=True).header}
        if self._configuration_set:
            common["ConfigurationSetName"] = self._configuration_set
        return common

    async def _bulk(self, messages: Sequence[OutboundMessage]) -> list[SendResult]:
        now = clock.now()
        try:
            request = self._bulk_request(messages)
        except ValueError:  # one of them cannot be sent: each gets its own verdict
            return [(await super(AWSSESEmailProvider, self).send_batch([m]))[0] for m in messages]
        try:
            response = await self._post("/v2/email/outbound-bulk-emails", request)
        except NoCredentials as error:
            return [result_of(not_configured(error.detail, error.code))] * len(messages)
        except HttpFault as fault:
            return [result_of(call_failed(fault))] * len(messages)
        if response.status != 200:
            return [result_of(refused(response, now, **meaning_of(response)))] * len(messages)
        entries = json_of(response).get("BulkEmailEntryResults")
        if not isinstance(entries, list) or len(entries) != len(messages):
            text = "HTTP 200 without a result for each mail: not SES, or cut off"
            return [result_of(unclear(response, text))] * len(messages)
        return [_entry_result(entry) for entry in entries]

    def _bulk_request(self, messages: Sequence[OutboundMessage]) -> dict[str, Any]:
        """Returns a bulk request. Our texts are final: SES's template contains placeholders only.

        The braces are triple, because SES's Handlebars must not escape finished HTML.
        """
        first = messages[0]
        template = {"Subject": "{{{subject}}}"}
        template |= {"Text": "{{{text}}}"} if first.content.body else {}
        template |= {"Html": "{{{html}}}"} if first.content.html else {}
        request = {
            **self._common(first.sender),
            "DefaultContent": {"Template": {"TemplateContent": template, "TemplateData": "{}"}},
            "BulkEmailEntries": [_entry_of(message) for message in messages],
        }
        if first.reply_to:
            request["ReplyToAddresses"] = [mailbox(first.reply_to, local_too=True).header]
        return request


def _entry_of(message: OutboundMessage) -> dict[str, Any]:
    content = message.content
    data = {"subject": content.title, "text": content.body, "html": content.html}
    entry = {
        "Destination": {"ToAddresses": [mailbox(message.recipient).address]},
        "ReplacementTags": tags_of(payload_of(message)),
        "ReplacementEmailContent": {
            "ReplacementTemplate": {
                "ReplacementTemplateData": json.dumps(
                    {name: text for name, text in data.items() if text or name == "subject"},
                    ensure_ascii=False,
                )
            }
        },
    }
    if message.headers:
        entry["ReplacementHeaders"] = [
            {"Name": name, "Value": _header_value(value)} for name, value in message.headers.items()
        ]
    return entry


def _header_value(value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise ValueError("a header's value is not printable ASCII")
    return value


def tags_of(message: Mapping[str, Any]) -> list[dict[str, str]]:
    """Returns the tags of a mail; SES allows letters, digits, `_` and `-` in them."""
    pairs = {
        "NotificationType": message.get("category") or "notification",
        "Priority": str(message.get("priority", 3)),
        REFERENCE_TAG: str(message.get("reference", "")),
    }
    return [
        {"Name": name, "Value": _NOT_IN_TAGS.sub("-", text)[:256]} for name, text in pairs.items()
    ]


def _entry_result(entry: Any) -> SendResult:
    """Returns the result of one mail of a bulk request."""
    entry = entry if isinstance(entry, dict) else {}
    status = str(entry.get("Status", ""))
    if status == "SUCCESS" and entry.get("MessageId"):
        return result_of(
            {"success": True, "message_id": entry["MessageId"], "provider_response": entry}
        )
    code = status.lower() or "invalid_response"
    return result_of(
        {
            "success": False,
            "error": f"SES: {status or 'no status'}",
            "error_code": "auth" if status in ACCOUNT else f"ses_{code}",
            "retry": status in ACCOUNT | LATER,
            "uncertain": not status,
            "provider_response": entry,
        }
    )
