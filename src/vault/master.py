"""Master keys: they wrap the data keys, and are not stored with them.

A wrapped key names its master key, so that several are valid while keys are rotated.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import OperationalError

from vault.cells import SealBroken

KEY_BYTES = 32
_ID_BYTES = 4
_NONCE_BYTES = 12
_FORMAT = b"\x01"
HEAD_BYTES = 1 + _ID_BYTES
_BODY = HEAD_BYTES + _NONCE_BYTES


class KeyService(Protocol):
    """A key management service. It is called when a process starts, and never afterwards."""

    def wrap(self, key: bytes) -> bytes:
        """Returns the encrypted form of a master key, for the settings."""

    def unwrap(self, wrapped: bytes) -> bytes:
        """Returns a master key of 32 bytes from its encrypted form."""


class MasterKeyMissing(OperationalError):
    """A data key is wrapped by a master key that this process does not have.

    It counts as an unavailable database: requests get 503 and messages wait.
    """


class MasterKeys:
    """The master keys of an installation: one wraps, all unwrap."""

    def __init__(self, keys: list[bytes]) -> None:
        """Keeps master keys of 32 bytes each; the first one wraps new data keys."""
        self._ciphers = {_id_of(key): AESGCM(key) for key in keys}
        self._by_head = {_FORMAT + name: cipher for name, cipher in self._ciphers.items()}
        self.current = _id_of(keys[0])

    def wrap(self, key: bytes, key_id: int) -> bytes:
        """Returns a data key in its wrapped form; it can be unwrapped for `key_id` only."""
        nonce = os.urandom(_NONCE_BYTES)
        head = _FORMAT + self.current
        sealed = self._ciphers[self.current].encrypt(nonce, key, head + _packed(key_id))
        return head + nonce + sealed

    def unwrap(self, wrapped: bytes | memoryview, key_id: int) -> bytes:
        """Returns a data key.

        Raises:
            MasterKeyMissing: no master key of this process has wrapped it.
            SealBroken: it was altered.
        """
        raw = bytes(wrapped)
        head = raw[:HEAD_BYTES]
        cipher = self._by_head.get(head)
        try:
            if cipher is not None:
                return cipher.decrypt(raw[HEAD_BYTES:_BODY], raw[_BODY:], head + _packed(key_id))
        except InvalidTag as error:
            raise SealBroken(f"the wrapped key {key_id} was altered") from error
        if head[:1] != _FORMAT:
            raise SealBroken(f"the wrapped key {key_id} was altered")
        raise MasterKeyMissing(
            f"the master key {head[1:].hex()} is missing: list it in CARILLON_OLD_MASTER_KEYS"
        )

    def is_current(self, wrapped: bytes | memoryview) -> bool:
        """Whether the first master key wrapped a data key."""
        return bytes(wrapped[1:HEAD_BYTES]) == self.current


def _id_of(key: bytes) -> bytes:
    return hashlib.sha256(b"carillon master key:" + key).digest()[:_ID_BYTES]


def _packed(key_id: int) -> bytes:
    return key_id.to_bytes(8, "big")


def read_master_key(text: str) -> bytes:
    """Reads a master key: 32 bytes in base64.

    Raises:
        ValueError: the text is something else.
    """
    try:
        key = base64.b64decode(text.strip() + "=" * (-len(text.strip()) % 4), altchars=b"-_")
    except ValueError as error:  # binascii.Error is one
        raise ValueError("a master key is 32 bytes in base64") from error
    if len(key) != KEY_BYTES:
        raise ValueError("a master key is 32 bytes in base64")
    return key


def master_keys() -> MasterKeys:
    """Returns the master keys of the settings."""
    return _keys_of(settings.MASTER_KEYS)


@functools.lru_cache(maxsize=8)
def _keys_of(texts: tuple[str, ...]) -> MasterKeys:
    return MasterKeys([read_master_key(text) for text in texts])
