"""Signatures of Standard Webhooks 1.0 (standardwebhooks.com)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime

from notifications.domain.errors import CarillonError

_PREFIX = "whsec_"
_SECRET_BYTES = 32
_TOLERANCE_S = 300
_SECONDS = re.compile(r"[0-9]{1,12}")


class UnusableSecret(CarillonError):
    """CARILLON_WEBHOOK_SECRET is not `whsec_` and standard base64 of 24 to 64 bytes."""

    code = "invalid_secret"


def signing_key(secret: str) -> bytes:
    """Returns the key inside `whsec_<base64>`.

    Raises:
        UnusableSecret: the secret has another form. A lenient decoder would skip unknown characters
            and sign with a different key from the receiver's.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise UnusableSecret from error
    if not secret.startswith(_PREFIX) or not 24 <= len(key) <= 64:
        raise UnusableSecret
    return key


def is_signed(key: bytes, headers: Mapping[str, str], body: bytes, *, now: datetime) -> bool:
    """Whether an incoming call is signed with this key, at most five minutes away from now.

    headers: webhook-id, webhook-timestamp and webhook-signature, which may contain several.
    """
    name, moment = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "")
    if not name or not _SECONDS.fullmatch(moment) or not f"{name}{given}".isascii():
        return False
    if abs(now.timestamp() - int(moment)) > _TOLERANCE_S:
        return False
    expected = signature_headers([key], name, int(moment), body)["webhook-signature"]
    return any(hmac.compare_digest(expected, each) for each in given.split())


def new_secret() -> str:
    """Returns a new random signing secret."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signature_headers(
    keys: Sequence[bytes], reference: str, timestamp_s: int, body: bytes
) -> dict[str, str]:
    """Returns the headers of Standard Webhooks; v1 is HMAC-SHA256 over `id.timestamp.body`.

    keys: one, or two while a secret is rotated: the receiver may still have the old one.
    """
    signed = f"{reference}.{timestamp_s}.".encode() + body
    digests = (base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys)
    return {
        "webhook-id": reference,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(f"v1,{digest}" for digest in digests),
    }
