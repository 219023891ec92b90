"""How long an SMS is: characters, encoding and segments.

3GPP TS 23.038 (GSM 7-bit default alphabet and its extension table) and TS 23.040 (concatenation:
a header of six bytes leaves 153 septets or 67 UTF-16 units to each segment).
"""

from __future__ import annotations

from typing import NamedTuple

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")


class SmsLength(NamedTuple):
    """units are septets (GSM-7) or UTF-16 units (UCS-2); segments is what a carrier bills."""

    encoding: str
    units: int
    segments: int


def sms_length(text: str) -> SmsLength:
    """The length of a text as carriers count it."""
    if all(char in _BASIC or char in _EXTENDED for char in text):
        widths = [2 if char in _EXTENDED else 1 for char in text]
        return SmsLength("GSM-7", sum(widths), _segments(widths, alone=160, joined=153))
    widths = [2 if ord(char) > 0xFFFF else 1 for char in text]
    return SmsLength("UCS-2", sum(widths), _segments(widths, alone=70, joined=67))


def _segments(widths: list[int], *, alone: int, joined: int) -> int:
    """A character of two units is never cut in two."""
    if sum(widths) <= alone:
        return 1
    segments, room = 1, joined
    for width in widths:
        if width > room:
            segments, room = segments + 1, joined
        room -= width
    return segments
