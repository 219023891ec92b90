"""The keys of the audit log: they sign checkpoints (Ed25519) and tag rows (HMAC).

The first key signs. All of them verify, so that a key can be replaced. Without a setting, the key
is derived from CARILLON_SECRET_KEY.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
from collections.abc import Sequence
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings

from notifications.domain.checkpoints import (
    Checkpoint,
    InvalidCheckpoint,
    SignatureLine,
    parse_checkpoint,
    split_note,
)
from notifications.infra.conf import environment

TAG_BYTES = 16
_ED25519 = b"\x01"
_LONGEST_NAME = 250


class AuditKey:
    """One key, from a seed of 32 bytes."""

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._private.public_key().public_bytes_raw()
        self._tag_key = hashlib.sha256(b"carillon audit tag" + seed).digest()

    def sign(self, checkpoint: Checkpoint) -> str:
        """Returns the checkpoint as a signed note; the log's origin is the name of the key."""
        body = checkpoint.body()
        name = checkpoint.origin
        line = SignatureLine(name, key_id(name, self.public), self._private.sign(body.encode()))
        return f"{body}\n{line.text()}"

    def tag(self, index: int, leaf_hash: bytes) -> bytes:
        """Returns 16 bytes that only this key makes for a leaf at its index."""
        content = index.to_bytes(8, "big") + leaf_hash
        return hmac.digest(self._tag_key, content, "sha256")[:TAG_BYTES]


def key_id(name: str, public: bytes) -> bytes:
    """Returns the four bytes by which a signature line names its key (C2SP signed-note)."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def verifier_key(name: str, public: bytes) -> str:
    """Returns a public key as one line: name, id and key (C2SP signed-note, vkey)."""
    encoded = base64.b64encode(_ED25519 + public).decode()
    return f"{name}+{key_id(name, public).hex()}+{encoded}"


def audit_keys() -> Sequence[AuditKey]:
    """Returns the keys of this installation, the signing one first."""
    return _keys(tuple(settings.AUDIT_SEEDS))


@functools.cache
def _keys(seeds: tuple[bytes, ...]) -> tuple[AuditKey, ...]:
    return tuple(AuditKey(seed) for seed in seeds)


def default_origin() -> str:
    """Returns the name of a new log: the public address without its scheme, and `/audit`."""
    address = urlsplit(environment().public_url)
    name = f"{address.netloc}{address.path.rstrip('/')}"[:_LONGEST_NAME]
    return f"{name}/audit".replace("+", "-").replace(" ", "-")


def open_checkpoint(note: str, publics: Sequence[bytes] = ()) -> Checkpoint:
    """Returns the checkpoint of a note that one of these keys signed; without any, our own.

    Raises:
        InvalidCheckpoint: the note has another form, or no signature of a known key.
    """
    known = publics or [key.public for key in audit_keys()]
    body, lines = split_note(note)
    for line in lines:
        for public in known:
            if line.key_id == key_id(line.name, public) and _is_signed(public, line, body):
                return parse_checkpoint(body)
    raise InvalidCheckpoint("no known key has signed this checkpoint")


def _is_signed(public: bytes, line: SignatureLine, body: str) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(line.signature, body.encode())
    except InvalidSignature:
        return False
    return True
