"""SMS through Vonage's Messages API, version 1.

Request, responses and codes: developer.vonage.com/en/api/messages and
developer.vonage.com/api-errors/messages
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, ClassVar

from notifications.delivery.accounts import settings_of
from notifications.delivery.base import Capabilities, NotificationChannelProvider, with_our_names
from notifications.delivery.callback_urls import callback_url
from notifications.delivery.http_responses import (
    accepted,
    call_failed,
    json_of,
    not_configured,
    refused,
    unclear,
)
from notifications.delivery.vendors.vonage.faults import code_of, meaning_of
from notifications.delivery.vendors.vonage.settings import Settings
from notifications.delivery.vendors.vonage.tokens import LASTS_S, read_key, token_for
from notifications.domain import sms
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.http.client import HttpClient, HttpFault, Response
from notifications.infra.phone_numbers import is_possible

_CALL_SHARE = 0.9
_LONGEST_TEXT = 1000
# Vonage attempts delivery for at most 72 hours, and advises against a few minutes.
_SHORTEST_TTL_S, _LONGEST_TTL_S = 300, 259_200
_LONGEST_REF = 100
_BAD_KEY = "CARILLON_VONAGE_PRIVATE_KEY is not the PEM of an RSA key"


class VonageSMSProvider(NotificationChannelProvider):
    """Passes one text message to Vonage, which sends its status to a URL that we signed.

    An application's key signs the calls (RS256), or they carry the account's key and secret. Wrong
    numbers and numbers that sent STOP (1240) are dead. A refused account, credit or sender is a
    wrong setting of ours: RETRY with the code `auth`. Vonage has no idempotency for messages.
    """

    key: ClassVar[str] = "vonage"
    capabilities: ClassVar[Capabilities] = Capabilities(
        channel="sms", batch_size=1, concurrency=20, rate="30/s", receipts=True
    )
    needs: ClassVar[tuple[str, ...]] = Settings.needs

    def __init__(self) -> None:
        self._given = settings_of(Settings)
        self._signs = bool(self._given.vonage_application_id and self._given.vonage_private_key)
        self._token, self._fresh_until_s = "", 0.0
        self._client = HttpClient(
            timeout_s=environment().provider_timeout_seconds * _CALL_SHARE,
            connections=self.capabilities.concurrency,
        )

    async def close(self) -> None:
        await self._client.close()

    async def validate_recipient(self, recipient: str) -> bool:
        """Whether this is a possible number in E.164 form."""
        return is_possible(recipient)

    async def send(self, recipient: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Sends `title`, a line break and `body`."""
        message = with_our_names(message)
        now = clock.now()
        if not self._is_complete():
            return not_configured(
                "set CARILLON_VONAGE_FROM, and _APPLICATION_ID and _PRIVATE_KEY, or _API_KEY and"
                " _API_SECRET"
            )
        body = self._body(recipient, message, now.timestamp())
        if len(body["text"]) > _LONGEST_TEXT:
            text = f"Vonage accepts at most {_LONGEST_TEXT} characters"
            return {"success": False, "error": text, "error_code": "text_too_long"}
        try:
            login = self._login(now.timestamp())
        except ValueError:
            return not_configured(_BAD_KEY)
        try:
            response = await self._client.request(
                "POST",
                f"{self._given.vonage_base_url}/v1/messages",
                headers={
                    "Authorization": login,
                    "Content-Type": "application/json",
                    "Accept": "application/json",
                },
                body=json.dumps(body).encode(),
            )
        except HttpFault as fault:
            return call_failed(fault)
        return _outcome(response, now)

    async def examine(self) -> str:
        """Requests the applications with key and secret, or reads the application's key."""
        given = self._given
        if self._signs:
            try:
                read_key(given.vonage_private_key)
            except ValueError:
                return _BAD_KEY
            return ""
        try:
            response = await self._client.request(
                "GET",
                f"{given.vonage_base_url}/v2/applications?page_size=1",
                headers={"Authorization": self._login(0), "Accept": "application/json"},
                body=b"",
            )
        except HttpFault as fault:
            return fault.detail
        if response.status == 200:
            return ""
        return f"Vonage responds HTTP {response.status}: check the key and the secret"

    def _is_complete(self) -> bool:
        given = self._given
        by_key = bool(given.vonage_api_key and given.vonage_api_secret)
        return bool(given.vonage_from) and (self._signs or by_key)

    def _login(self, now_s: float) -> str:
        given = self._given
        if not self._signs:
            pair = f"{given.vonage_api_key}:{given.vonage_api_secret}"
            return f"Basic {base64.b64encode(pair.encode()).decode()}"
        if now_s >= self._fresh_until_s:
            self._token = token_for(given.vonage_application_id, given.vonage_private_key, now_s)
            self._fresh_until_s = now_s + LASTS_S / 2
        return f"Bearer {self._token}"

    def _body(self, recipient: str, message: Mapping[str, Any], now_s: float) -> dict[str, Any]:
        reference = str(message.get("reference", ""))
        body: dict[str, Any] = {
            "message_type": "text",
            "channel": "sms",
            "to": _bare(recipient),
            "from": _bare(str(message.get("sender") or self._given.vonage_from)),
            "text": sms.text_of(str(message.get("title") or ""), str(message.get("body") or "")),
        }
        if 0 < len(reference) <= _LONGEST_REF:
            body["client_ref"] = reference
        url = callback_url(self.key, reference)
        if url:
            body |= {"webhook_url": url, "webhook_version": "v1"}
        ends_at_s = message.get("expires_at_s")
        if ends_at_s is not None:
            body["ttl"] = min(max(int(ends_at_s - now_s), _SHORTEST_TTL_S), _LONGEST_TTL_S)
        return body


def _bare(number: str) -> str:
    """Returns a number as Vonage requires it, without the leading plus; a name unchanged."""
    digits = number.removeprefix("+")
    return digits if digits.isdigit() else number


def _outcome(response: Response, now: Any) -> dict[str, Any]:
    found = json_of(response)
    if response.status not in (200, 202):
        return refused(response, now, **meaning_of(response.status, code_of(found)))
    name = found.get("message_uuid")
    if not isinstance(name, str) or not name:
        return unclear(response, f"HTTP {response.status} without a uuid: not Vonage, or cut off")
    return accepted(name, response)
