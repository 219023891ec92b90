"""Webhooks to the platform's own systems: a POST signed by Standard Webhooks 1.0."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.conf import settings

from notifications.delivery.accounts import settings_of
from notifications.delivery.base import Capabilities, NotificationChannelProvider, with_our_names
from notifications.delivery.http_responses import (
    accepted,
    call_failed,
    forbidden,
    not_configured,
    refused,
)
from notifications.delivery.protocols.standard_webhooks import (
    UnusableSecret,
    signature_headers,
    signing_key,
)
from notifications.delivery.vendors.webhook.faults import meaning_of
from notifications.delivery.vendors.webhook.settings import Settings
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.http.client import AddressRefused, HttpClient, HttpFault, check_url

_CALL_SHARE = 0.9


class SignedWebhookProvider(NotificationChannelProvider):
    """POSTs a notification as signed JSON to the recipient's URL, with the SSRF guard.

    A 2xx means accepted; 410 means that the URL is dead. 429 and 5xx are retried with the same
    webhook-id, by which the receiver recognizes a duplicate. Redirects and all other statuses are
    final.
    """

    key: ClassVar[str] = "webhook"
    capabilities: ClassVar[Capabilities] = Capabilities(
        channel="webhook", batch_size=1, concurrency=50, idempotent=True
    )

    def __init__(self) -> None:
        given = environment()
        self._allow_private = given.webhook_allow_private
        self._secret = settings_of(Settings).webhook_secret
        self._client = HttpClient(
            timeout_s=given.provider_timeout_seconds * _CALL_SHARE,
            connections=self.capabilities.concurrency,
            guarded=True,
            allow_private=self._allow_private,
        )

    @classmethod
    def host_of(cls, recipient: str) -> str:
        """Returns the receiver's host: a failing receiver blocks no other."""
        return urlsplit(recipient).hostname or ""

    async def close(self) -> None:
        await self._client.close()

    async def validate_recipient(self, recipient: str) -> bool:
        """Whether this URL may be called, as far as its text shows."""
        try:
            check_url(recipient, allow_private=self._allow_private)
        except AddressRefused:
            return False
        return True

    async def send(self, recipient: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Signs and posts one notification; the message id is our reference (webhook-id)."""
        message = with_our_names(message)
        now = clock.now()
        reference = str(message["reference"])
        body = json.dumps(
            {
                "type": "notification",
                "timestamp": now.isoformat(),
                "data": {
                    "id": reference,
                    "title": message.get("title", ""),
                    "body": message.get("body", ""),
                    "data": message.get("data", {}),
                    "category": message.get("category", ""),
                    "priority": message.get("priority", 3),
                },
            },
            default=str,
            ensure_ascii=False,
        ).encode()
        try:
            secret = signing_key(self._secret or settings.WEBHOOK_SECRET)
        except UnusableSecret as error:
            return not_configured(error.detail, error.code)
        headers = {
            "Content-Type": "application/json",
            **signature_headers([secret], reference, int(now.timestamp()), body),
        }
        try:
            response = await self._client.request("POST", recipient, headers=headers, body=body)
        except AddressRefused as refusal:
            return forbidden(refusal)
        except HttpFault as fault:
            return call_failed(fault)
        if 200 <= response.status < 300:
            return accepted(reference, response)
        return refused(response, now, **meaning_of(response.status))
