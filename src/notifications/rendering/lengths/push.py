"""Cuts push messages to the size that services accept; long ones are not refused.

FCM takes 4,096 bytes of notification and data (firebase.google.com, "About FCM messages"), APNs
4,096 bytes of payload, Web Push 3,993 bytes of plain text in its one record (RFC 8291 section 4).
"""

from __future__ import annotations

import json
from typing import NamedTuple

from notifications.rendering.lengths.emoji import whole_until

MAX_PUSH_BYTES = 3_500
"""Bytes of title and body as JSON in UTF-8; the rest of 3,993 holds reference, keys and names."""
MAX_TITLE_BYTES = 500
_WIDEST = 6  # bytes of one character as JSON: \\u0001; UTF-8 has four at most
_CUT = "…"


class PushLength(NamedTuple):
    """The size of a push."""

    #: Bytes of title and body as they are sent.
    bytes: int
    limit: int
    #: Whether title or body was too long and was cut.
    cut: bool


def push_bytes(title: str, body: str) -> int:
    """Returns the bytes of a title and a body in a payload."""
    return _size(title) + _size(body)


def push_fitted(title: str, body: str, beside: int = 0) -> tuple[str, str]:
    """Returns a title and a body that fit; a long one is cut at a word and gets an ellipsis.

    beside: bytes of the payload that other data uses.
    """
    most = MAX_PUSH_BYTES - beside
    if (len(title) + len(body)) * _WIDEST <= MAX_TITLE_BYTES:  # most are short: no need to count
        return title, body
    title = _cut(title, min(MAX_TITLE_BYTES, most // 2))
    return title, _cut(body, most - _size(title))


def push_length(title: str, body: str) -> PushLength:
    """Returns the size of a push whose texts are not cut yet, for a preview."""
    fitted = push_fitted(title, body)
    return PushLength(push_bytes(*fitted), MAX_PUSH_BYTES, fitted != (title, body))


def _size(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")) - 2


def _cut(text: str, space: int) -> str:
    if _size(text) <= space:
        return text
    fitting = text[:space]
    low, high = 0, len(fitting)
    while low < high:  # the longest beginning that fits
        middle = (low + high + 1) // 2
        low, high = (
            (middle, high) if _size(fitting[:middle]) + _size(_CUT) <= space else (low, middle - 1)
        )
    fitting = fitting[: whole_until(text, low)]
    word_end = fitting.rfind(" ", max(0, low - 30))
    return (fitting[:word_end] if word_end > 0 else fitting).rstrip() + _CUT
