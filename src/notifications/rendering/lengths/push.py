"""How much a push may say: what is too long for the services is cut, not refused.

FCM takes 4,096 bytes of notification and data (firebase.google.com, "About FCM messages"), APNs
4,096 bytes of payload, Web Push 3,993 bytes of plain text in its one record (RFC 8291 section 4).
"""

from __future__ import annotations

import json
from typing import NamedTuple

from notifications.rendering.lengths.emoji import whole_until

MAX_PUSH_BYTES = 3_500
"""Title and body as JSON in UTF-8; the rest of 3,993 bytes is for the reference, keys and names."""
MAX_TITLE_BYTES = 500
_WIDEST = 6  # bytes of one character as JSON: \\u0001; UTF-8 has four at most
_CUT = "…"


class PushLength(NamedTuple):
    """bytes of title and body as they are sent; cut says that they would have been more."""

    bytes: int
    limit: int
    cut: bool


def push_bytes(title: str, body: str) -> int:
    """The size of a title and a body in a payload."""
    return _size(title) + _size(body)


def push_fitted(title: str, body: str, beside: int = 0) -> tuple[str, str]:
    """A title and a body that fit, each cut at a word where it is too long, with an ellipsis.

    beside: bytes that are taken by what goes along.
    """
    most = MAX_PUSH_BYTES - beside
    if (len(title) + len(body)) * _WIDEST <= MAX_TITLE_BYTES:  # most are short: no need to count
        return title, body
    title = _cut(title, min(MAX_TITLE_BYTES, most // 2))
    return title, _cut(body, most - _size(title))


def push_length(title: str, body: str) -> PushLength:
    """What a preview tells of a push whose texts are not cut yet."""
    fitted = push_fitted(title, body)
    return PushLength(push_bytes(*fitted), MAX_PUSH_BYTES, fitted != (title, body))


def _size(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")) - 2


def _cut(text: str, room: int) -> str:
    if _size(text) <= room:
        return text
    kept = text[:room]
    low, high = 0, len(kept)
    while low < high:  # the longest beginning that fits
        middle = (low + high + 1) // 2
        low, high = (
            (middle, high) if _size(kept[:middle]) + _size(_CUT) <= room else (low, middle - 1)
        )
    kept = kept[: whole_until(text, low)]
    word_end = kept.rfind(" ", max(0, low - 30))
    return (kept[:word_end] if word_end > 0 else kept).rstrip() + _CUT
