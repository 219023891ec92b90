"""Push to browsers: the Web Push protocol (RFC 8030), encrypted (RFC 8291), signed (RFC 8292)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

import msgspec
from django.conf import settings

from notifications.delivery.accounts import settings_of
from notifications.delivery.base import Capabilities, NotificationChannelProvider, with_our_names
from notifications.delivery.http_responses import (
    call_failed,
    forbidden,
    not_configured,
)
from notifications.delivery.vendors.webpush.crypto import (
    LONGEST_PAYLOAD,
    decoded,
    derived_key,
    encoded,
    encrypt,
    vapid_header,
)
from notifications.delivery.vendors.webpush.faults import dead, outcome_of
from notifications.delivery.vendors.webpush.settings import Settings
from notifications.domain.messages import tag_of
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.http.client import (
    AddressRefused,
    HttpClient,
    HttpFault,
    check_url,
)

_CALL_SHARE = 0.9
_LONGEST_TTL_S = 28 * 86_400
_URGENCY = {1: "high", 2: "high", 3: "normal", 4: "low"}
_TOKEN_LIFE_S = 12 * 3600  # RFC 8292 allows 24 h
_TOKEN_EARLY_S = 600
_CACHED_ORIGINS = 256


class _Keys(msgspec.Struct):
    p256dh: str
    auth: str


class BrowserSubscription(msgspec.Struct):
    """What a browser's `PushSubscription.toJSON()` returns."""

    endpoint: str
    keys: _Keys

    @property
    def secrets(self) -> tuple[bytes, bytes]:
        """The receiver's point and the secret; ValueError if they have another form."""
        point, auth = decoded(self.keys.p256dh), decoded(self.keys.auth)
        if len(point) != 65 or point[0] != 4 or len(auth) != 16:
            raise ValueError("the keys have the wrong length")
        return point, auth


def read_subscription(recipient: str) -> BrowserSubscription:
    """Reads a subscription from its JSON text.

    Raises:
        ValueError: the text is not one.
    """
    try:
        found = msgspec.json.decode(recipient, type=BrowserSubscription)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ValueError("not a push subscription") from error
    if len(found.secrets) != 2:
        raise ValueError("not a push subscription")
    return found


class WebPushProvider(NotificationChannelProvider):
    """Sends to one browser's subscription, which is the recipient as JSON.

    404 and 410 mean that the subscription is dead. Any caller may register an endpoint, so it is
    called with the SSRF guard, and over https only.
    """

    key: ClassVar[str] = "webpush"
    capabilities: ClassVar[Capabilities] = Capabilities(
        channel="push", batch_size=1, concurrency=100
    )

    def __init__(self) -> None:
        given = settings_of(Settings)
        self._key = given.webpush_private_key or derived_key(settings.VAPID_SEED)
        self._contact = given.webpush_contact or environment().public_url
        self._allow_private = environment().webhook_allow_private
        self._tokens: dict[str, tuple[str, float]] = {}
        self._client = HttpClient(
            timeout_s=environment().provider_timeout_seconds * _CALL_SHARE,
            connections=self.capabilities.concurrency,
            guarded=True,
            allow_private=self._allow_private,
        )

    @classmethod
    def host_of(cls, recipient: str) -> str:
        """Returns the host of the browser's push service."""
        try:
            return urlsplit(read_subscription(recipient).endpoint).hostname or ""
        except ValueError:
            return ""

    async def close(self) -> None:
        await self._client.close()

    async def validate_recipient(self, recipient: str) -> bool:
        """Whether this is a subscription whose endpoint may be called."""
        try:
            found = read_subscription(recipient)
            url = check_url(found.endpoint, allow_private=self._allow_private)
        except (ValueError, AddressRefused):
            return False
        return self._allow_private or url.scheme == "https"

    async def send(self, recipient: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Encrypts and posts one notification, as the service worker shows it."""
        message = with_our_names(message)
        now = clock.now()
        found = read_subscription(recipient)
        payload = payload_for(message)
        if len(payload) > LONGEST_PAYLOAD:
            text = f"title, body and data have {len(payload)} bytes; {LONGEST_PAYLOAD} fit"
            return {"success": False, "error": text, "error_code": "text_too_long"}
        try:
            headers = self._headers(found.endpoint, message, now.timestamp())
        except ValueError:
            return not_configured("CARILLON_WEBPUSH_PRIVATE_KEY is not a P-256 key", "auth")
        try:
            point, auth = found.secrets
            body = encrypt(payload, receiver=point, auth=auth)
        except ValueError:
            text = "the subscription's key is not a point of P-256"
            return dead(text)
        try:
            response = await self._client.request(
                "POST", found.endpoint, headers=headers, body=body
            )
        except AddressRefused as refusal:
            return forbidden(refusal)
        except HttpFault as fault:
            return call_failed(fault)
        return outcome_of(response, str(message.get("reference", "")), now)

    async def examine(self) -> str:
        """Checks that the VAPID key can sign; push services have no account to check."""
        try:
            self._token("https://push.example", clock.now().timestamp())
        except ValueError as error:
            return f"CARILLON_WEBPUSH_PRIVATE_KEY: {error}"
        return ""

    def _headers(self, endpoint: str, message: Mapping[str, Any], now_s: float) -> dict[str, str]:
        ttl_s = _LONGEST_TTL_S
        ends_at_s = message.get("expires_at_s")
        if ends_at_s is not None:
            ttl_s = min(max(int(ends_at_s - now_s), 0), _LONGEST_TTL_S)
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Encoding": "aes128gcm",
            "TTL": str(ttl_s),
            "Urgency": _URGENCY.get(message.get("priority", 3), "normal"),
            "Authorization": self._token(_origin(endpoint), now_s),
        }
        topic = _topic(message)
        if topic:
            headers["Topic"] = topic
        return headers

    def _token(self, origin: str, now_s: float) -> str:
        """Returns the token of a push service, signed again only after hours."""
        text, ends_at_s = self._tokens.get(origin, ("", 0.0))
        if now_s < ends_at_s - _TOKEN_EARLY_S:
            return text
        if len(self._tokens) >= _CACHED_ORIGINS:
            self._tokens.clear()
        ends_at_s = now_s + _TOKEN_LIFE_S
        text = vapid_header(
            self._key, origin=origin, contact=self._contact, ends_at_s=int(ends_at_s)
        )
        self._tokens[origin] = (text, ends_at_s)
        return text


def payload_for(message: Mapping[str, Any]) -> bytes:
    """Returns the payload for the service worker: `{title, body, icon, image, url, tag, data}`.

    That of a retraction is `{type: "retract", tag, reference}`.
    """
    retraction = message.get("retracts")
    if retraction is not None:
        named = {"tag": retraction.tag, "reference": retraction.reference}
        return json.dumps({"type": "retract", **named}, separators=(",", ":")).encode()
    data = dict(message.get("data", {}))
    card = {
        "title": message.get("title", ""),
        "body": message.get("body", ""),
        "icon": data.get("icon"),
        "image": data.get("image"),
        "url": data.get("url"),
        "tag": tag_of(message.get("reference", ""), message.get("collapse_key")) or None,
        "data": {**data, "reference": message.get("reference", "")},
    }
    payload = {name: value for name, value in card.items() if value is not None}
    return json.dumps(payload, default=str, ensure_ascii=False, separators=(",", ":")).encode()


def topic_of(tag: str) -> str:
    """Returns a Topic: at most 32 characters of base64url (RFC 8030 5.4)."""
    return encoded(hashlib.sha256(tag.encode()).digest()[:24])


def _topic(message: Mapping[str, Any]) -> str:
    """Returns the Topic of a push; a push service keeps only the newest of each.

    A retraction replaces the push that it takes back while that waits for its browser. It has none
    where a collapse key names the push, because it could replace a newer push of the same key.
    """
    retraction = message.get("retracts")
    if retraction is not None:
        is_own = retraction.tag == tag_of(retraction.reference, None)
        return topic_of(retraction.tag) if is_own else ""
    tag = tag_of(str(message.get("reference", "")), message.get("collapse_key"))
    return topic_of(tag) if tag else ""


def _origin(endpoint: str) -> str:
    scheme, _, rest = endpoint.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"
