"""Push through Firebase Cloud Messaging, HTTP v1 (Google shut down the legacy API).

Request and error forms: firebase.google.com/docs/reference/fcm/rest/v1/projects.messages and
.../v1/ErrorCode. Tests compare the request with Google's discovery document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from notifications.delivery.accounts import settings_of
from notifications.delivery.base import Capabilities, NotificationChannelProvider, with_our_names
from notifications.delivery.http_responses import (
    accepted,
    call_failed,
    json_of,
    not_configured,
    refused,
    unclear,
)
from notifications.delivery.vendors.fcm.faults import meaning_of
from notifications.delivery.vendors.fcm.google_tokens import (
    TokenRefused,
    TokenSource,
    read_service_account,
)
from notifications.delivery.vendors.fcm.settings import Settings
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.http.client import HttpClient, HttpFault, Response

_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_CALL_SHARE = 0.9
_LONGEST_TTL_S = 28 * 86_400  # FCM stores nothing longer
_APNS_COLLAPSE_BYTES = 64
_URGENT = 2
_TOKEN = re.compile(r"[!-~]{8,4096}")  # FCM documents no form: opaque, but without spaces
_RESERVED = re.compile(r"from|message_type|gcm.*|google.*")


class FCMPushProvider(NotificationChannelProvider):
    """Sends a notification to one FCM registration token.

    A token that FCM calls unregistered is dead. A refused access token is renewed once. Refused
    credentials are a wrong setting of ours: RETRY with the code `auth`.
    """

    key: ClassVar[str] = "fcm"
    capabilities: ClassVar[Capabilities] = Capabilities(
        channel="push", batch_size=1, concurrency=100, rate="10000/min"
    )

    needs: ClassVar[tuple[str, ...]] = Settings.needs

    def __init__(self, server_key: str = "") -> None:
        """Needs no argument.

        server_key belongs to the legacy API. It is accepted for old code and ignored: HTTP v1 uses
        the service account of CARILLON_FCM_CREDENTIALS.
        """
        del server_key
        self._client = HttpClient(
            timeout_s=environment().provider_timeout_seconds * _CALL_SHARE,
            connections=self.capabilities.concurrency,
        )
        self._tokens: TokenSource | None = None
        self._url = ""

    async def close(self) -> None:
        await self._client.close()

    async def validate_recipient(self, recipient: str) -> bool:
        """Whether this has the form of a registration token. Only FCM knows whether it is valid."""
        return _TOKEN.fullmatch(recipient) is not None

    async def send(self, recipient: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Sends one notification.

        `data` may contain an `icon`, an `image`, a `sound`, a `badge` and a `url` to open.
        """
        message = with_our_names(message)
        now = clock.now()
        data = message.get("data", {})
        if any(_RESERVED.fullmatch(str(name)) for name in data):
            return {
                "success": False,
                "error": "FCM reserves from, message_type, google* and gcm* in data",
                "error_code": "reserved_data_key",
            }
        payload = {"message": request_of(recipient, message, now.timestamp())}
        body = msgspec.json.encode(payload)
        try:
            response = await self._post(body)
        except TokenRefused as error:
            return not_configured(error.detail, error.code)
        except HttpFault as fault:
            return call_failed(fault)
        if response.status != 200:
            return refused(response, now, **meaning_of(response))
        name = json_of(response).get("name")
        if not isinstance(name, str) or not name:
            return unclear(response, "HTTP 200 without a message name: not FCM, or cut off")
        return accepted(name, response)

    async def examine(self) -> str:
        """Requests an access token from Google."""
        try:
            await self._token_source().token()
        except TokenRefused as error:
            return error.detail
        except HttpFault as fault:
            return fault.detail
        return ""

    async def _post(self, body: bytes) -> Response:
        """Posts with an access token; a refused one is renewed once."""
        tokens = self._token_source()
        token = await self._token(tokens)
        response = await self._call(body, token)
        if response.status == 401:
            token = await self._token(tokens, instead_of=token)
            response = await self._call(body, token)
        return response

    async def _token(self, tokens: TokenSource, *, instead_of: str = "") -> str:
        try:
            return await tokens.token(instead_of=instead_of)
        except HttpFault as fault:
            # The message was not written, whatever happened to the token request.
            text = f"no access token: {fault.detail}"
            raise HttpFault(fault.code, text, written=False) from fault

    async def _call(self, body: bytes, token: str) -> Response:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        return await self._client.request("POST", self._url, headers=headers, body=body)

    def _token_source(self) -> TokenSource:
        if self._tokens is None:
            given = settings_of(Settings)
            google = read_service_account(given.fcm_credentials)
            self._url = f"{given.fcm_base_url}/v1/projects/{google.project_id}/messages:send"
            self._tokens = TokenSource(google, self._client, _SCOPE)
        return self._tokens


def request_of(token: str, message: Mapping[str, Any], now_s: float) -> dict[str, Any]:
    """Returns the `message` of an FCM v1 request, for Android, the web and Apple's devices."""
    data = message.get("data", {})
    urgent = message.get("priority", 3) <= _URGENT
    notification = {"title": message["title"], "body": message["body"]}
    android: dict[str, Any] = {"priority": "HIGH" if urgent else "NORMAL"}
    webpush: dict[str, Any] = {"headers": {"Urgency": "high" if urgent else "normal"}}
    apns = {"apns-priority": "10" if urgent else "5"}
    ends_at_s = message.get("expires_at_s")
    if ends_at_s is not None:
        ttl_s = min(max(int(ends_at_s - now_s), 0), _LONGEST_TTL_S)
        android["ttl"] = f"{ttl_s}s"
        webpush["headers"]["TTL"] = str(ttl_s)
        apns["apns-expiration"] = str(int(now_s) + ttl_s)
    collapse = message.get("collapse_key")
    if collapse:
        android["collapse_key"] = collapse
        apns["apns-collapse-id"] = _cut(collapse, _APNS_COLLAPSE_BYTES)
    aps: dict[str, Any] = {}
    if isinstance(data.get("sound"), str):
        aps["sound"] = data["sound"]
        android["notification"] = {"sound": data["sound"]}
    if type(data.get("badge")) is int:
        aps["badge"] = data["badge"]
    shown = {name: str(data[name]) for name in ("icon", "image") if data.get(name)}
    if shown:
        webpush["notification"] = shown
    if str(data.get("image", "")).startswith("https://"):
        notification["image"] = str(data["image"])
    if str(data.get("url", "")).startswith("https://"):  # FCM accepts no other link
        webpush["fcm_options"] = {"link": str(data["url"])}
    return {
        "token": token,
        "notification": notification,
        "data": {
            **{str(name): _text_of(value) for name, value in data.items()},
            "reference": str(message.get("reference", "")),
        },
        "android": android,
        "webpush": webpush,
        "apns": {"headers": apns, **({"payload": {"aps": aps}} if aps else {})},
    }


def _text_of(value: Any) -> str:
    """Returns a value as a string, because FCM's data has strings only: other types as JSON."""
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode("utf-8", "ignore")
