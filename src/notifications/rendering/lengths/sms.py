"""Measures an SMS: characters, encoding and segments.

3GPP TS 23.038 defines the GSM 7-bit default alphabet and its extension table. TS 23.040 defines
concatenation: a header of six bytes leaves 153 septets or 67 UTF-16 units for each segment. Joined
emoji are never split between segments, as at Twilio (github.com/TwilioDevEd/message-segments).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from notifications.rendering.lengths.emoji import atoms

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")


class SmsLength(NamedTuple):
    """The length of an SMS."""

    #: GSM-7 or UCS-2.
    encoding: str
    #: Septets (GSM-7) or UTF-16 units (UCS-2).
    units: int
    #: The segments that a carrier bills.
    segments: int


def sms_length(text: str) -> SmsLength:
    """Returns the length of a text as carriers count it."""
    if all(char in _BASIC or char in _EXTENDED for char in text):
        widths = [2 if char in _EXTENDED else 1 for char in text]
        return SmsLength("GSM-7", sum(widths), _segments(widths, alone=160, joined=153))
    widths = [_units(each) for each in atoms(text)]
    return SmsLength("UCS-2", sum(widths), _segments(widths, alone=70, joined=67))


def _units(atom: str) -> int:
    return len(atom) + sum(ord(char) > 0xFFFF for char in atom)


def _segments(widths: Sequence[int], *, alone: int, joined: int) -> int:
    """Counts segments; an item is never split unless it is longer than a whole segment."""
    if sum(widths) <= alone:
        return 1
    segments, space = 1, joined
    for width in widths:
        if space < width and space < joined:
            segments, space = segments + 1, joined
        while width > joined:  # an invented sequence: carriers cut it where the segment is full
            segments, width = segments + 1, width - joined
        space -= width
    return segments
