"""Vonage's tokens: of our calls to Vonage, and of its calls to us.

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
_APART_S = 300  # the most that Vonage's clock and ours may differ


@functools.lru_cache(maxsize=8)
def read_key(pem: str) -> rsa.RSAPrivateKey:
    """Reads an application's private key; `\\n` stands for a line break, for variables.

    Raises:
        ValueError: the text is not the PEM of an unencrypted RSA key.
    """
    try:
        found = serialization.load_pem_private_key(pem.replace("\\n", "\n").encode(), None)
    except Exception as error:  # the library raises its own exceptions as well
        raise ValueError("not a PEM private key") from error
    if not isinstance(found, rsa.RSAPrivateKey):
        raise ValueError("not an RSA key")
    return found


def token_for(application_id: str, pem: str, now_s: float) -> str:
    """Returns the token of an application's calls, valid for `LASTS_S` seconds.

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
    """Returns the claims of a webhook's token; None if the secret did not sign this body."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        return None
    try:
        claims: dict[str, Any] = jwt.decode(
            token.strip(),
            secret,
            algorithms=["HS256"],
            # The times are compared below, with our own clock.
            options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    digest = hashlib.sha256(body).hexdigest().encode()
    # As bytes: compare_digest accepts only ASCII texts.
    hashed = hmac.compare_digest(
        digest, str(claims.get("payload_hash", "")).lower().encode(errors="replace")
    )
    return claims if hashed and _in_time(claims, now_s) else None


def _in_time(claims: dict[str, Any], now_s: float) -> bool:
    made, ends = claims.get("iat"), claims.get("exp", now_s)
    if not isinstance(made, int | float) or not isinstance(ends, int | float):
        return False
    return made - _APART_S <= now_s <= ends + _APART_S
