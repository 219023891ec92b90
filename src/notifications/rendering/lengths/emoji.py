"""Emoji of several characters: flags, families, skin tones, keycaps (Unicode TS 51).

When cut in two they show other pictures, or none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_PICTURE = (
    "[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf"
    "\u2900-\u297f\u2b00-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]"
)
_HANGS_ON = "[\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]*"  # looks, tones, tags
_FLAG = "[\U0001f1e6-\U0001f1ff]{2}"
_KEYCAP = "[0-9#*]\ufe0f?\u20e3"
_JOINER = "\u200d"
_LONGEST = 35  # characters of the longest emoji that Unicode names; longer ones are invented
_ATOM = re.compile(
    f"{_FLAG}|{_KEYCAP}|{_PICTURE}{_HANGS_ON}(?:{_JOINER}{_PICTURE}{_HANGS_ON})*{_JOINER}?|.",
    re.DOTALL,
)
_ANY = re.compile(
    "[\u200d\u20e3\ufe0e\ufe0f\U0001f1e6-\U0001f1ff\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]"
)


def atoms(text: str) -> Sequence[str]:
    """Returns the pieces of a text that are never cut: characters, and joined emoji as one."""
    return _ATOM.findall(text) if _ANY.search(text) else text


def whole_until(text: str, end: int) -> int:
    """Returns the last place at or before `end` where a text may be cut."""
    at = 0
    for atom in atoms(text[: end + _LONGEST]):
        if at + len(atom) > end:
            return at if len(atom) <= _LONGEST else end
        at += len(atom)
    return at
