"""Cryptography: sealing of content at rest, blind indexes, hashes of secrets.

Sealed bytes begin with a format byte. Format 1 is sealed under the service's own key: settings,
secrets, and contents of an older release. Format 2 is a cell of the vault, sealed under the key of
a person or an address.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
from collections.abc import Mapping

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from vault.cells import FORMAT as CELL
from vault.cells import Key, SealBroken, next_nonce
from vault.store import open_cell

_FORMAT = b"\x01"
_NONCE_BYTES = 12
_encode = msgspec.json.Encoder().encode


@functools.cache
def _cipher(secret: str) -> AESGCM:
    return AESGCM(base64.urlsafe_b64decode(secret)[:32])


def seal(plain: bytes, key: Key | None = None) -> bytes:
    """Encrypts and authenticates (AES-256-GCM), under a data key or else the service's own key."""
    if key is not None:
        return key.seal(plain)
    nonce = next_nonce()
    return _FORMAT + nonce + _cipher(settings.CONTENT_KEY).encrypt(nonce, plain, _FORMAT)


def unseal(sealed: bytes | memoryview, keys: Mapping[int, Key] | None = None) -> bytes:
    """The reverse of `seal`.

    Args:
        sealed: what `seal` returned.
        keys: data keys by id, where the caller has loaded them. Others are read from the store.

    Raises:
        KeyErased: the data key was erased.
        SealBroken: when the bytes are not what this installation sealed.
    """
    raw = bytes(sealed)
    if raw[:1] == CELL:
        key = keys.get(int.from_bytes(raw[1:9], "big")) if keys else None
        return key.open(raw) if key is not None else open_cell(raw)
    if raw[:1] != _FORMAT:
        raise SealBroken("sealed bytes of an unknown format")
    nonce, body = raw[1 : 1 + _NONCE_BYTES], raw[1 + _NONCE_BYTES :]
    try:
        return _cipher(settings.CONTENT_KEY).decrypt(nonce, body, _FORMAT)
    except InvalidTag as error:
        raise SealBroken(
            "sealed bytes of another key: is CARILLON_SECRET_KEY the one that wrote this database?"
        ) from error


def seal_json(value: object, key: Key | None = None) -> bytes:
    """Seals any JSON-able value, under a data key or else the service's own key."""
    return seal(_encode(value), key)


def unseal_json(
    sealed: bytes | memoryview | None, keys: Mapping[int, Key] | None = None
) -> dict[str, object]:
    """Opens what `seal_json` made of an object. Empty bytes give an empty object."""
    if not sealed:
        return {}
    value: dict[str, object] = msgspec.json.decode(unseal(sealed, keys))
    return value


def sign_text(purpose: str, text: str) -> str:
    """Returns a keyed tag, which proves that a text came from this installation."""
    key = f"{purpose}:{settings.SECRET_KEY}".encode()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:40]


def authenticator(purpose: str) -> hmac.HMAC:
    """Returns a keyed hash to feed with the parts of a file that this installation wrote."""
    key = hashlib.sha256(f"{purpose}:{settings.SECRET_KEY}".encode()).digest()
    return hmac.new(key, digestmod=hashlib.sha256)


def secret_hash(secret: str) -> str:
    """Returns the stored form of a random secret of 128 bits or more, which needs no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def body_hash(body: bytes) -> str:
    """Returns the hash of a request body, to compare it with another."""
    return hashlib.sha256(body).hexdigest()
