"""Cryptography: sealing of content at rest, blind indexes, hashes of secrets.

Sealed bytes begin with a format byte, so that per-user keys can be added without a rewrite of rows.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import os
import threading

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

_FORMAT = b"\x01"
_NONCE_BYTES = 12
_encode = msgspec.json.Encoder().encode


class _Nonces(threading.local):
    """Random nonces, read many at once: one system call for each would cost more than the sealing.

    Each thread has its own, and a forked child reads new ones, so that none is ever used twice.
    """

    _drawn = b""
    _at = 0
    _pid = 0

    def next(self) -> bytes:
        if self._at == len(self._drawn) or self._pid != os.getpid():
            self._drawn, self._at, self._pid = os.urandom(_NONCE_BYTES * 256), 0, os.getpid()
        self._at += _NONCE_BYTES
        return self._drawn[self._at - _NONCE_BYTES : self._at]


_nonces = _Nonces()


class SealBroken(ValueError):
    """Sealed bytes cannot be opened: another key made them, or they were altered."""


@functools.cache
def _cipher(secret: str) -> AESGCM:
    return AESGCM(base64.urlsafe_b64decode(secret)[:32])


def seal(plain: bytes) -> bytes:
    """Encrypts and authenticates (AES-256-GCM): format byte, nonce, ciphertext with tag."""
    nonce = _nonces.next()
    return _FORMAT + nonce + _cipher(settings.CONTENT_KEY).encrypt(nonce, plain, _FORMAT)


def unseal(sealed: bytes | memoryview) -> bytes:
    """The reverse of `seal`.

    Raises:
        SealBroken: when the bytes are not what this installation sealed.
    """
    raw = bytes(sealed)
    if raw[:1] != _FORMAT:
        raise SealBroken("sealed bytes of an unknown format")
    nonce, body = raw[1 : 1 + _NONCE_BYTES], raw[1 + _NONCE_BYTES :]
    try:
        return _cipher(settings.CONTENT_KEY).decrypt(nonce, body, _FORMAT)
    except InvalidTag as error:
        raise SealBroken(
            "sealed bytes of another key: is CARILLON_SECRET_KEY the one that wrote this database?"
        ) from error


def seal_json(value: object) -> bytes:
    """Seals any JSON-able value."""
    return seal(_encode(value))


def unseal_json(sealed: bytes | memoryview | None) -> dict[str, object]:
    """Opens what `seal_json` made of an object. Empty bytes give an empty object."""
    if not sealed:
        return {}
    value: dict[str, object] = msgspec.json.decode(unseal(sealed))
    return value


def blind_index(text: str) -> str:
    """Returns a keyed hash, by which an address is found without being stored in clear text."""
    return hmac.new(settings.PEPPER.encode(), text.encode(), hashlib.sha256).hexdigest()[:40]


def sign_text(purpose: str, text: str) -> str:
    """Returns a keyed tag, which proves that a text came from this installation."""
    key = f"{purpose}:{settings.SECRET_KEY}".encode()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:40]


def secret_hash(secret: str) -> str:
    """Returns the stored form of a random secret of 128 bits or more, which needs no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def body_hash(body: bytes) -> str:
    """Returns the hash of a request body, to compare it with another."""
    return hashlib.sha256(body).hexdigest()
