"""Which texts can be stored and sent: all of Unicode but NUL and half characters.

A half character is one of the two surrogates as which JSON and JavaScript write what lies beyond
U+FFFF. No database and no protocol takes one alone, nor does PostgreSQL take NUL.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

UNSTORABLE = "NUL or half a character (a lone surrogate such as \\ud83c)"
MAX_DEPTH = 100
_SHOWN = 100  # characters of a key in a path
_NUL = b"\\u0000"
_encode = msgspec.json.Encoder(enc_hook=str).encode


def is_storable(text: str) -> bool:
    """Whether a text holds neither NUL nor half a character."""
    if "\x00" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()  # quicker than a search of the text
    except UnicodeEncodeError:
        return False
    return True


def join_surrogates(text: str) -> str:
    """The text with surrogates that stand side by side joined to the character that they mean."""
    if is_storable(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


class Unstorable(NamedTuple):
    """What is wrong with a JSON value: where, a code, and words that follow the place."""

    place: str
    code: str
    detail: str


def find_unstorable(value: Any, path: str = "") -> Unstorable | None:
    """The first thing for which a JSON value cannot be stored; None when there is none.

    `invalid_text`: a text or a key with NUL or half a character; a key's place is its object's.
    `too_deep`: it is nested deeper than every writer of JSON follows.
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
    """Whether a value surely has nothing that `find_unstorable` looks for, at a fraction of its cost: a
    bulk asks for each of its recipients."""
    try:
        written = _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False
    return _NUL not in written and written.count(b"{") + written.count(b"[") <= MAX_DEPTH
