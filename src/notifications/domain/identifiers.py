"""Time-ordered public identifiers (UUID version 7, RFC 9562) that carry the row's integer key.

The tail of the UUID is the key, so a row is found by its primary key without a second unique index
(a table partitioned by time could not have one). The head is the time of creation, which names the
partition. Twelve random bits and the millisecond make ids hard to enumerate. Knowledge of an id
never grants access.
"""

from __future__ import annotations

import secrets
from uuid import UUID

_KEY_BITS = 62
_KEY_MASK = (1 << _KEY_BITS) - 1


def public_id(key: int, at_ms: int, random_bits: int | None = None) -> UUID:
    """Returns the UUID of the row with this integer key, made at `at_ms` (Unix milliseconds)."""
    salt = secrets.randbits(12) if random_bits is None else random_bits
    return UUID(int=(at_ms << 80) | (0x7 << 76) | (salt << 64) | (0b10 << _KEY_BITS) | key)


def key_of(value: UUID) -> int | None:
    """Returns the integer key inside a public id; None for any other UUID."""
    return value.int & _KEY_MASK if value.version == 7 else None


def parse_key(text: str) -> int | None:
    """Parses an integer key written in ASCII digits; None for anything else, however long."""
    return int(text) or None if text.isascii() and text.isdigit() and len(text) < 19 else None


def parse_identifier(value: object) -> int | UUID | None:
    """Parses an integer key or a UUID; None when it is neither."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if 0 < value < 1 << 63 else None
    if isinstance(value, UUID):
        return value
    if not isinstance(value, str):
        return None
    text = value.strip()
    key = parse_key(text)
    if key is not None:
        return key
    try:
        return UUID(text)
    except ValueError:
        return None
