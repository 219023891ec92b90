"""The meaning of a receiver's refusal."""

from __future__ import annotations

from typing import Any

_GONE = 410


def meaning_of(status: int) -> dict[str, Any]:
    """Returns what a status adds to the outcome of a refusal: 410 means that the URL is dead."""
    return {"recipient_dead": status == _GONE}
