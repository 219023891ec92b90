"""Colours of CSS, and their contrast by WCAG 2.2."""

from __future__ import annotations

import re
from typing import NamedTuple

_HEX = re.compile(r"#([0-9a-f]{3,8})\b")
_FUNCTION = re.compile(r"rgba?\(([^()]{1,60})\)")
_NUMBER = re.compile(r"[\d.]{1,12}%?")
_NAMED = {
    "aqua": 0x00FFFF, "black": 0x000000, "blue": 0x0000FF, "brown": 0xA52A2A, "crimson": 0xDC143C,
    "cyan": 0x00FFFF, "darkblue": 0x00008B, "darkgray": 0xA9A9A9, "darkgreen": 0x006400,
    "darkgrey": 0xA9A9A9, "darkred": 0x8B0000, "dimgray": 0x696969, "dimgrey": 0x696969,
    "fuchsia": 0xFF00FF, "gold": 0xFFD700, "gray": 0x808080, "green": 0x008000, "grey": 0x808080,
    "indigo": 0x4B0082, "lightblue": 0xADD8E6, "lightgray": 0xD3D3D3, "lightgrey": 0xD3D3D3,
    "lime": 0x00FF00, "magenta": 0xFF00FF, "maroon": 0x800000, "navy": 0x000080, "olive": 0x808000,
    "orange": 0xFFA500, "orangered": 0xFF4500, "pink": 0xFFC0CB, "purple": 0x800080,
    "red": 0xFF0000, "royalblue": 0x4169E1, "silver": 0xC0C0C0, "slategray": 0x708090,
    "slategrey": 0x708090, "steelblue": 0x4682B4, "teal": 0x008080, "tomato": 0xFF6347,
    "violet": 0xEE82EE, "white": 0xFFFFFF, "whitesmoke": 0xF5F5F5, "yellow": 0xFFFF00,
}  # fmt: skip
_BEGINS = re.compile(r"[a-z]{3,20}")


class Colour(NamedTuple):
    """A colour: red, green and blue from 0 to 255, and its opacity from 0 to 1."""

    red: float
    green: float
    blue: float
    opacity: float = 1.0

    def over(self, below: Colour) -> Colour:
        """Returns what is seen of this colour on an opaque one."""
        red, green, blue = (
            own * self.opacity + under * (1 - self.opacity)
            for own, under in zip(self[:3], below[:3], strict=True)
        )
        return Colour(red, green, blue)

    def __str__(self) -> str:
        return "#" + "".join(f"{round(each):02x}" for each in self[:3])


WHITE, BLACK = Colour(255, 255, 255), Colour(0, 0, 0)
LINK = Colour(0, 0, 238)
"""A link for which nothing sets a colour, as browsers and mail programs show it."""


def parse_colour(text: str) -> Colour | None:
    """Returns the first colour of a value of CSS or HTML; None where it is not known."""
    text = text.strip().lower()
    if found := _HEX.search(text):
        return _of_hex(found[1])
    if called := _FUNCTION.search(text):
        return _of_numbers(called[1])
    for word in _BEGINS.findall(text):
        if word == "transparent":
            return Colour(0, 0, 0, 0.0)
        if word in _NAMED:
            return _of_number(_NAMED[word])
    return None


def contrast(text: Colour, below: Colour) -> float:
    """Returns the contrast of two opaque colours, from 1 to 21."""
    light, dark = sorted((_luminance(text), _luminance(below)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _of_hex(digits: str) -> Colour | None:
    if len(digits) in (3, 4):
        digits = "".join(each * 2 for each in digits)
    if len(digits) not in (6, 8):
        return None
    parts = [int(digits[at : at + 2], 16) for at in range(0, len(digits), 2)]
    red, green, blue, *opacity = parts
    return Colour(red, green, blue, opacity[0] / 255 if opacity else 1.0)


def _of_numbers(text: str) -> Colour | None:
    parts = [_amount(each, index) for index, each in enumerate(_NUMBER.findall(text)[:4])]
    known = [each for each in parts if each is not None]
    if len(known) != len(parts) or len(known) not in (3, 4):
        return None
    red, green, blue, *opacity = known
    return Colour(red, green, blue, opacity[0] if opacity else 1.0)


def _amount(text: str, index: int) -> float | None:
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        return None
    most = 1.0 if index == 3 else 255.0
    return max(0.0, min(most, number / 100 * most if text.endswith("%") else number))


def _of_number(number: int) -> Colour:
    return Colour(number >> 16, number >> 8 & 255, number & 255)


def _luminance(colour: Colour) -> float:
    red, green, blue = (_linear(each / 255) for each in colour[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(share: float) -> float:
    return share / 12.92 if share <= 0.04045 else float(((share + 0.055) / 1.055) ** 2.4)
