"""What a leaf of the audit tree is made of, and what its hash covers.

docs/security/verify_receipt.py repeats this in a script that needs nothing of the service.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from notifications.domain.merkle import HASH_BYTES

_FORMAT = "carillon-audit-leaf/v1"
_DECISION, _ENTRY = b"decision", b"entry"


@dataclass(frozen=True, slots=True)
class LeafHeader:
    """The part of a leaf that stays readable, and that its hash covers."""

    kind: str
    at_ms: int
    actor: str
    action: str
    target: str
    subject_id: int | None

    def encoded(self) -> bytes:
        """Returns the fields, each as its length in bytes, a colon, its text and a comma."""
        subject = "" if self.subject_id is None else str(self.subject_id)
        fields = (
            _FORMAT,
            self.kind,
            str(self.at_ms),
            self.actor,
            self.action,
            self.target,
            subject,
        )
        texts = [field.encode() for field in fields]
        return b"".join([b"%d:%b," % (len(text), text) for text in texts])

    def leaf_hash(self, data_hash: bytes) -> bytes:
        """Returns the RFC 6962 hash of the leaf. data_hash: SHA-256 of its content."""
        return hashlib.sha256(b"\x00" + self.encoded() + data_hash).digest()


def entry_commitment(salt: bytes, details: bytes) -> bytes:
    """Returns the hash that binds an entry to its details, which are JSON."""
    return hashlib.sha256(_ENTRY + salt + details).digest()


def decision_salt(slice_salt: bytes, message: int) -> bytes:
    """Returns the salt of one message of a slice: it shows nothing of the others."""
    return hashlib.sha256(slice_salt + message.to_bytes(8, "big")).digest()[:16]


def decision_commitment(slice_salt: bytes, message: int, trail: str) -> bytes:
    """Returns the hash that binds a slice to what it appended to one message's trail."""
    number = message.to_bytes(8, "big")
    salt = hashlib.sha256(slice_salt + number).digest()[:16]
    return hashlib.sha256(_DECISION + salt + number + trail.encode()).digest()


def split_entry(data: bytes) -> tuple[bytes, bytes]:
    """Returns the commitment and the sealed bytes of an entry's content."""
    return data[:HASH_BYTES], data[HASH_BYTES:]


def split_slice(data: bytes) -> tuple[list[bytes], bytes]:
    """Returns the commitments, in order, and the sealed bytes of a slice's content."""
    count = int.from_bytes(data[:2], "big")
    end = 2 + count * HASH_BYTES
    return [data[at : at + HASH_BYTES] for at in range(2, end, HASH_BYTES)], data[end:]
