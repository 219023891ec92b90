"""Checkpoints of the audit tree as text: C2SP tlog-checkpoint in a C2SP signed note.

This module reads and writes the text. `infra/audit_keys.py` signs and verifies it.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime

from notifications.domain.merkle import HASH_BYTES

LONGEST = 10_000
"""Characters of a note that is read."""
_TIME = "time "
_SIGNED_BY = "\N{EM DASH} "


class InvalidCheckpoint(ValueError):
    """A text is no checkpoint; the message says why."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The size and root of the tree at a time."""

    #: The name of the log: its public address without a scheme.
    origin: str
    size: int
    root: bytes
    at: datetime

    def body(self) -> str:
        """Returns the text that is signed."""
        root = base64.b64encode(self.root).decode()
        at = self.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"{self.origin}\n{self.size}\n{root}\n{_TIME}{at}\n"


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """One signature of a note."""

    name: str
    #: The id of the key: the first four bytes of a hash of its name and public key.
    key_id: bytes
    signature: bytes

    def text(self) -> str:
        """Returns the line as a note has it."""
        encoded = base64.b64encode(self.key_id + self.signature).decode()
        return f"{_SIGNED_BY}{self.name} {encoded}\n"


def split_note(note: str) -> tuple[str, list[SignatureLine]]:
    """Returns the signed text of a note, and its signatures.

    Raises:
        InvalidCheckpoint: the text is no signed note.
    """
    if len(note) > LONGEST or not note.endswith("\n"):
        raise InvalidCheckpoint("a note ends with a newline and has at most 10,000 characters")
    text, gap, lines = note.rpartition("\n\n")
    if not gap:
        raise InvalidCheckpoint("a note has an empty line before its signatures")
    return text + "\n", [_signature_of(line) for line in lines[:-1].split("\n")]


def parse_checkpoint(body: str) -> Checkpoint:
    """Reads the signed text of a checkpoint.

    Raises:
        InvalidCheckpoint: it has another form.
    """
    lines = body.split("\n")
    if len(lines) < 4 or not lines[0] or not lines[3].startswith(_TIME):
        raise InvalidCheckpoint("a checkpoint has four lines: origin, size, root, time")
    size, root = lines[1], _decode(lines[2])
    if not size.isascii() or not size.isdecimal() or len(size) > 18 or str(int(size)) != size:
        raise InvalidCheckpoint("the second line of a checkpoint is the number of leaves")
    if len(root) != HASH_BYTES:
        raise InvalidCheckpoint("the third line of a checkpoint is a hash of 32 bytes in base64")
    try:
        at = datetime.strptime(lines[3].removeprefix(_TIME), "%Y-%m-%dT%H:%M:%S%z")
    except ValueError as error:
        raise InvalidCheckpoint("the fourth line of a checkpoint is its time") from error
    return Checkpoint(lines[0], int(size), root, at.astimezone(UTC))


def _signature_of(line: str) -> SignatureLine:
    name, _, encoded = line.removeprefix(_SIGNED_BY).partition(" ")
    if not line.startswith(_SIGNED_BY) or not name or not encoded:
        raise InvalidCheckpoint("a signature line is a dash, a name and a signature in base64")
    raw = _decode(encoded)
    if len(raw) <= 4:
        raise InvalidCheckpoint("a signature has the id of its key and more bytes")
    return SignatureLine(name, raw[:4], raw[4:])


def _decode(text: str) -> bytes:
    """Decodes canonical base64: a second spelling of one signature would be another note."""
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidCheckpoint(f"{text[:80]!r} is not base64") from error
    if base64.b64encode(found).decode() != text:
        raise InvalidCheckpoint(f"{text[:80]!r} is not canonical base64")
    return found
