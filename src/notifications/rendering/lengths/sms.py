"""How long an SMS is: characters, encoding and segments.

3GPP TS 23.038 (GSM 7-bit default alphabet and its extension table) and TS 23.040 (concatenation:
a header of six bytes leaves 153 septets or 67 UTF-16 units to each segment). Joined emoji go whole
into a segment, as Twilio puts them (github.com/TwilioDevEd/message-segments).
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
    """units are septets (GSM-7) or UTF-16 units (UCS-2); segments is what a carrier bills."""

    encoding: str
    units: int
    segments: int


def sms_length(text: str) -> SmsLength:
    """The length of a text as carriers count it."""
    if all(char in _BASIC or char in _EXTENDED for char in text):
        widths = [2 if char in _EXTENDED else 1 for char in text]
        return SmsLength("GSM-7", sum(widths), _segments(widths, alone=160, joined=153))
    widths = [_units(each) for each in atoms(text)]
    return SmsLength("UCS-2", sum(widths), _segments(widths, alone=70, joined=67))


def _units(atom: str) -> int:
    return len(atom) + sum(ord(char) > 0xFFFF for char in atom)


def _segments(widths: Sequence[int], *, alone: int, joined: int) -> int:
    """What has a width is never cut, but for what is longer than a whole segment."""
    if sum(widths) <= alone:
        return 1
    segments, room = 1, joined
    for width in widths:
        if room < width and room < joined:
            segments, room = segments + 1, joined
        while width > joined:  # of a made-up sequence: carriers cut it wherever it is full
            segments, width = segments + 1, width - joined
        room -= width
    return segments
