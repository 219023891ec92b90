"""Web Push cryptography: message encryption (RFC 8291 over RFC 8188) and VAPID (RFC 8292)."""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import os
import struct

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_CURVE = ec.SECP256R1()
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_RECORD_BYTES = 4096
_HEADER_BYTES = 16 + 4 + 1 + 65
_TAG_BYTES = 16
LONGEST_PAYLOAD = _RECORD_BYTES - _HEADER_BYTES - _TAG_BYTES - 1
"""Bytes that fit into one record, which every push service must accept (RFC 8030 7.2)."""
_X962 = (serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def encrypt(
    payload: bytes,
    *,
    receiver: bytes,
    auth: bytes,
    sender: ec.EllipticCurvePrivateKey | None = None,
    salt: bytes | None = None,
) -> bytes:
    """Returns the body of a push message, for `Content-Encoding: aes128gcm`.

    Args:
        receiver: the subscription's p256dh, 65 bytes.
        auth: the subscription's secret, 16 bytes.
        sender, salt: random for each message; passed only to reproduce the RFC's example.

    Raises:
        ValueError: the receiver's key is not a point of the curve.
    """
    own = sender or ec.generate_private_key(_CURVE)
    salt = salt or os.urandom(16)
    own_public = own.public_key().public_bytes(*_X962)
    shared = own.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, receiver))
    keying = _expand(_mac(auth, shared), b"WebPush: info\0" + receiver + own_public)
    seed = _mac(salt, keying)
    key = _expand(seed, b"Content-Encoding: aes128gcm\0")[:16]
    nonce = _expand(seed, b"Content-Encoding: nonce\0")[:12]
    sealed = AESGCM(key).encrypt(nonce, payload + b"\x02", None)  # 2: last record, no padding
    return salt + struct.pack("!IB", _RECORD_BYTES, len(own_public)) + own_public + sealed


def _mac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, hashlib.sha256)


def _expand(key: bytes, info: bytes) -> bytes:
    return _mac(key, info + b"\x01")


@functools.lru_cache(maxsize=8)
def private_key(text: str) -> ec.EllipticCurvePrivateKey:
    """Reads a VAPID key from PEM, or from its 32 bytes in base64url, which tools print.

    Raises:
        ValueError: the text has another form.
    """
    if text.lstrip().startswith("-----"):
        found = serialization.load_pem_private_key(text.encode(), None)
        if not isinstance(found, ec.EllipticCurvePrivateKey) or found.curve.name != _CURVE.name:
            raise ValueError("the key is not one of the curve P-256")
        return found
    raw = decoded(text)
    if len(raw) != 32:
        raise ValueError("the key is neither PEM nor 32 bytes in base64url")
    return ec.derive_private_key(int.from_bytes(raw), _CURVE)


@functools.lru_cache(maxsize=8)
def derived_key(secret: str) -> str:
    """Derives a key from a secret, for an installation without a key: the same at every start."""
    digest = hashlib.sha512(secret.encode()).digest()
    number = int.from_bytes(digest) % (_ORDER - 1) + 1
    return encoded(number.to_bytes(32))


def public_key(text: str) -> str:
    """Returns the `applicationServerKey` with which browsers subscribe, in base64url."""
    return encoded(private_key(text).public_key().public_bytes(*_X962))


def vapid_header(text: str, *, origin: str, contact: str, ends_at_s: int) -> str:
    """Returns the Authorization header of one push service (RFC 8292), valid until `ends_at_s`."""
    claims = {"aud": origin, "exp": ends_at_s, "sub": contact}
    signed = jwt.encode(claims, private_key(text), algorithm="ES256")
    return f"vapid t={signed}, k={public_key(text)}"


def encoded(raw: bytes) -> str:
    """Returns base64url without padding."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decoded(text: str) -> bytes:
    """Decodes base64url; padding and standard base64 are accepted as well.

    Raises:
        ValueError: the text has another form.
    """
    text = text.strip().replace("+", "-").replace("/", "_").rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
