"""Checks that texts can be stored and sent: all of Unicode except NUL and half characters.

JSON and JavaScript write a character beyond U+FFFF as two surrogates. A half character is one
surrogate alone. No database and no protocol accepts it, and PostgreSQL does not accept NUL.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

UNSTORABLE = "NUL or half a character (a lone surrogate such as \\ud83c)"
MAX_DEPTH = 100
_SHOWN = 100  # characters of a key that a path shows
_NUL = b"\\u0000"
_encode = msgspec.json.Encoder(enc_hook=str).encode


def is_storable(text: str) -> bool:
    """Returns whether a text contains neither NUL nor half a character."""
    if "\x00" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()  # faster than a search for surrogates
    except UnicodeEncodeError:
        return False
    return True


def join_surrogates(text: str) -> str:
    """Joins each pair of adjacent surrogates to the character that the pair means."""
    if is_storable(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


class Unstorable(NamedTuple):
    """The reason why a JSON value cannot be stored."""

    #: The path of the wrong part.
    place: str
    #: invalid_text or too_deep.
    code: str
    #: A text that follows the path in an error.
    detail: str


def find_unstorable(value: Any, path: str = "") -> Unstorable | None:
    """Returns the first reason why a JSON value cannot be stored, or None.

    `invalid_text`: a text or a key contains NUL or half a character. For a key, the place is that
    of its object. `too_deep`: the value is nested deeper than all JSON encoders support.
    """
    if _is_plainly_storable(value):
        return None
    waiting = [(value, path, 0)]
    while waiting:
        found, place, depth = waiting.pop()
        if isinstance(found, str):
            if not is_storable(found):
                return Unstorable(place, "invalid_text", f"must not hold {UNSTORABLE}")
            continue
        if depth == MAX_DEPTH and isinstance(found, Mapping | list | tuple):
            return Unstorable(path, "too_deep", f"must not be nested more than {MAX_DEPTH} deep")
        if isinstance(found, Mapping):
            for key, inner in found.items():
                if isinstance(key, str) and not is_storable(key):
                    return Unstorable(place, "invalid_text", f"must not hold {UNSTORABLE}")
                name = str(key)[:_SHOWN]
                waiting.append((inner, f"{place}.{name}" if place else name, depth + 1))
        elif isinstance(found, list | tuple):
            waiting += [(each, f"{place}[{n}]", depth + 1) for n, each in enumerate(found)]
    return None


def _is_plainly_storable(value: Any) -> bool:
    """Returns True where `find_unstorable` would certainly find nothing.

    It costs a fraction of the full search, and a bulk send checks each of its recipients.
    """
    try:
        written = _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False
    return _NUL not in written and written.count(b"{") + written.count(b"[") <= MAX_DEPTH
