"""Sealed cells: bytes that only the data key of one person or address opens.

A cell is: format byte 2, key id (8 bytes, big endian), nonce (12 bytes), ciphertext with tag
(AES-256-GCM). The format byte and the key id are authenticated.
"""

from __future__ import annotations

import os
import threading

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FORMAT = b"\x02"
_NONCE_BYTES = 12
_HEAD = 9
_BODY = _HEAD + _NONCE_BYTES


class SealBroken(ValueError):
    """Sealed bytes cannot be opened: another key made them, or they were altered."""


class KeyErased(SealBroken):
    """The key of a cell is not in the store: its person was erased."""


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


def next_nonce() -> bytes:
    """Returns 12 random bytes that no other call returns."""
    return _nonces.next()


class Key:
    """An unwrapped data key. It must not outlive the slice or the request that loaded it."""

    __slots__ = ("_cipher", "_head", "id")

    def __init__(self, key_id: int, secret: bytes) -> None:
        """Takes the id of a key, and its 32 bytes."""
        self.id = key_id
        self._cipher = AESGCM(secret)
        self._head = head_of(key_id)

    def seal(self, plain: bytes, about: bytes = b"") -> bytes:
        """Returns a cell. `about` is authenticated and not stored: table, column and row."""
        nonce, head = _nonces.next(), self._head
        return head + nonce + self._cipher.encrypt(nonce, plain, head + about)

    def open(self, cell: bytes | memoryview, about: bytes = b"") -> bytes:
        """Returns the content of a cell.

        Raises:
            SealBroken: another key sealed it, it was altered, or it is of another row.
        """
        raw, head = bytes(cell), self._head
        if raw[:_HEAD] != head:
            raise SealBroken("the cell belongs to another key")
        try:
            return self._cipher.decrypt(raw[_HEAD:_BODY], raw[_BODY:], head + about)
        except InvalidTag as error:
            raise SealBroken("the cell was altered, or copied from another row") from error


def head_of(key_id: int) -> bytes:
    """Returns the first nine bytes of all cells that a key sealed."""
    return FORMAT + key_id.to_bytes(8, "big")


def key_id_of_head(head: bytes | memoryview | None) -> int | None:
    """Returns the id of a key from the first nine bytes of a cell; None for other bytes."""
    if not head or bytes(head[:1]) != FORMAT or len(head) < _HEAD:
        return None
    return int.from_bytes(head[1:_HEAD], "big")


def key_id_of(cell: bytes | memoryview | None) -> int | None:
    """Returns the id of the key that sealed a cell; None for empty or otherwise sealed bytes."""
    return key_id_of_head(cell) if cell and len(cell) >= _BODY else None
