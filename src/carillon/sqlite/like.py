"""LIKE for SQLite that ignores the case of all letters: SQLite's own ignores that of ASCII only.

Django's icontains, istartswith and iexact use LIKE, so searches on SQLite find the same rows as on
PostgreSQL.
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

ANY_RUN, ANY_ONE = "%", "_"


class _Part(NamedTuple):
    """The part between two %: a text, or a pattern of the same size if it has a _."""

    size: int
    text: str
    pattern: re.Pattern[str] | None = None

    def find(self, text: str, start: int) -> int:
        """Returns the position of the first match from `start`; -1 when there is none."""
        if self.pattern is None:
            return text.find(self.text, start)
        found = self.pattern.search(text, start)
        return found.start() if found else -1

    def is_at(self, text: str, place: int) -> bool:
        """Whether the part matches at that position."""
        if self.pattern is None:
            return text.startswith(self.text, place)
        return self.pattern.match(text, place) is not None


def like(pattern: object, text: object, escape: str | None = None) -> bool | None:
    """Whether a text matches a pattern, without regard to case; None when one of them is NULL.

    For each part of the pattern, the time is linear in the text.
    """
    if pattern is None or text is None:
        return None
    first, middle, last = _parts(str(pattern), escape)
    folded = str(text).casefold()
    if not first.is_at(folded, 0):
        return False
    if last is None:
        return first.size == len(folded)
    end = first.size
    for part in middle:
        place = part.find(folded, end)
        if place < 0:
            return False
        end = place + part.size
    return len(folded) - last.size >= end and last.is_at(folded, len(folded) - last.size)


@functools.lru_cache(maxsize=256)
def _parts(pattern: str, escape: str | None) -> tuple[_Part, tuple[_Part, ...], _Part | None]:
    """Returns the part before the first %, those between, and the one after the last (or None)."""
    found: list[list[str | None]] = [[]]  # None: any character
    letters = iter(pattern)
    for letter in letters:
        if letter == escape:
            found[-1].extend(next(letters, "").casefold())
        elif letter == ANY_RUN:
            found.append([])
        elif letter == ANY_ONE:
            found[-1].append(None)
        else:
            found[-1].extend(letter.casefold())
    parts = [_part(each) for each in found]
    if len(parts) == 1:
        return parts[0], (), None
    return parts[0], tuple(part for part in parts[1:-1] if part.size), parts[-1]


def _part(letters: list[str | None]) -> _Part:
    known = [letter for letter in letters if letter is not None]
    if len(known) == len(letters):
        return _Part(len(letters), "".join(known))
    text = "".join("." if letter is None else re.escape(letter) for letter in letters)
    return _Part(len(letters), "", re.compile(text, re.DOTALL))
