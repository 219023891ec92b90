"""Sealed cells: bytes that only the data key of one person or address opens.

A cell is: format byte 2, key id (8 bytes, big endian), nonce (12 bytes), ciphertext with tag
(AES-256-GCM). The format byte and the key id are authenticated.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FORMAT = b"\x02"
_NONCE_BYTES = 12
_HEAD = 9
_BODY = _HEAD + _NONCE_BYTES
_pack_head = struct.Struct(">cQ").pack


class SealBroken(ValueError):
    """Sealed bytes cannot be opened: another key made them, or they were altered."""


class KeyErased(SealBroken):
    """The key of a cell is not in the store: its person was erased."""


_DRAWN_AT_ONCE = 256
_drawn: Iterator[tuple[bytes]] = iter(())


def next_nonce() -> bytes:
    """Returns 12 random bytes that no other call returns.

    They are drawn many at once: one system call for each would cost more than the sealing. Threads
    share them, because `next` of an iterator in C is atomic. A forked child draws its own.
    """
    try:
        return next(_drawn)[0]
    except StopIteration:
        return _draw()


def _draw() -> bytes:
    fresh = struct.iter_unpack(f"{_NONCE_BYTES}s", os.urandom(_NONCE_BYTES * _DRAWN_AT_ONCE))
    (first,) = next(fresh)
    globals()["_drawn"] = fresh
    return bytes(first)


def _forget_drawn() -> None:
    globals()["_drawn"] = iter(())


os.register_at_fork(after_in_child=_forget_drawn)


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
        nonce, head = next_nonce(), self._head
        return head + nonce + self._cipher.encrypt(nonce, plain, head + about)

    def open(self, cell: bytes | memoryview, about: bytes = b"") -> bytes:
        """Returns the content of a cell.

        Raises:
            SealBroken: another key sealed it, it was altered, or it is of another row.
        """
        raw, head = bytes(cell), self._head
        if not raw.startswith(head):
            raise SealBroken("the cell belongs to another key")
        try:
            return self._cipher.decrypt(raw[_HEAD:_BODY], raw[_BODY:], head + about)
        except InvalidTag as error:
            raise SealBroken("the cell was altered, or copied from another row") from error


def head_of(key_id: int) -> bytes:
    """Returns the first nine bytes of all cells that a key sealed."""
    return _pack_head(FORMAT, key_id)


def key_id_of_head(head: bytes | memoryview | None) -> int | None:
    """Returns the id of a key from the first nine bytes of a cell; None for other bytes."""
    if not head or bytes(head[:1]) != FORMAT or len(head) < _HEAD:
        return None
    return int.from_bytes(head[1:_HEAD], "big")


def key_id_of(cell: bytes | memoryview | None) -> int | None:
    """Returns the id of the key that sealed a cell; None for empty or otherwise sealed bytes."""
    return key_id_of_head(cell) if cell and len(cell) >= _BODY else None
