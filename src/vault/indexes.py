"""Blind indexes: keyed hashes by which a value is found without being stored in clear text."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable

from django.conf import settings

_BLOCK = 64
_INNER, _OUTER = bytes(x ^ 0x36 for x in range(256)), bytes(x ^ 0x5C for x in range(256))


@functools.lru_cache(maxsize=4)
def _hasher(pepper: str) -> Callable[[str], bytes]:
    key = pepper.encode()
    key = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
    # The two hashes of HMAC (RFC 2104) after their keys. They are copied: OpenSSL looks up its
    # algorithm at each call of `hmac`, which takes longer than the hash of a short text.
    inner = hashlib.sha256(key.translate(_INNER)).copy
    outer = hashlib.sha256(key.translate(_OUTER)).copy

    def hash_of(text: str) -> bytes:
        first, second = inner(), outer()
        first.update(text.encode())
        second.update(first.digest())
        return second.digest()

    return hash_of


def hasher() -> Callable[[str], bytes]:
    """Returns the function that hashes texts: HMAC-SHA-256 under the service's pepper, 32 bytes."""
    return _hasher(settings.PEPPER)


def blind_index(text: str) -> str:
    """Returns the keyed hash of a text: 40 hexadecimal digits, which are 160 bits."""
    return hasher()(text)[:20].hex()
