"""Vonage's tokens: those that sign our calls, and those that sign its own.

developer.vonage.com/en/getting-started/concepts/authentication and
developer.vonage.com/en/messages/concepts/signed-webhooks
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

LASTS_S = 900
_APART_S = 300  # by how much Vonage's clock and ours may differ


@functools.lru_cache(maxsize=8)
def read_key(pem: str) -> rsa.RSAPrivateKey:
    """An application's private key; `\\n` stands for a line break, as variables have none.

    Raises:
        ValueError: the text is no PEM of a plain RSA key.
    """
    try:
        found = serialization.load_pem_private_key(pem.replace("\\n", "\n").encode(), None)
    except Exception as error:  # the library raises its own kinds, too
        raise ValueError("not a PEM private key") from error
    if not isinstance(found, rsa.RSAPrivateKey):
        raise ValueError("not an RSA key")
    return found


def token_for(application_id: str, pem: str, now_s: float) -> str:
    """A token by which an application calls Vonage, for `LASTS_S` seconds.

    Raises:
        ValueError: the key cannot be used.
    """
    made_s = int(now_s)
    claims = {
        "application_id": application_id,
        "iat": made_s,
        "exp": made_s + LASTS_S,
        "jti": str(uuid4()),
    }
    return jwt.encode(claims, read_key(pem), algorithm="RS256")


def claims_of(authorization: str, body: bytes, secret: str, now_s: float) -> dict[str, Any] | None:
    """The claims of a webhook's token; None where Vonage did not sign this body with the secret."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        return None
    try:
        claims: dict[str, Any] = jwt.decode(
            token.strip(),
            secret,
            algorithms=["HS256"],
            # The times are compared below, with the clock of the service.
            options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    digest = hashlib.sha256(body).hexdigest().encode()
    # As bytes: of texts, compare_digest takes ASCII alone.
    hashed = hmac.compare_digest(
        digest, str(claims.get("payload_hash", "")).lower().encode(errors="replace")
    )
    return claims if hashed and _in_time(claims, now_s) else None


def _in_time(claims: dict[str, Any], now_s: float) -> bool:
    made, ends = claims.get("iat"), claims.get("exp", now_s)
    if not isinstance(made, int | float) or not isinstance(ends, int | float):
        return False
    return made - _APART_S <= now_s <= ends + _APART_S
