"""The stored form of a session's key: the table of sessions does not allow a sign-in."""

from __future__ import annotations

import hashlib


def stored_key(session_key: str) -> str:
    """Returns the row's key for a cookie's key. It has some 165 bits, so a fast hash is enough."""
    return hashlib.sha256(session_key.encode()).hexdigest()[:40]
