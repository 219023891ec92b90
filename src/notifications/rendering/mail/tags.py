"""Finds tags in HTML and MJML, for the checks of branches and limits, in linear time."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Possessive quantifiers (`*+`) never backtrack: a tag without an end costs its length once, not
# once for each of its letters.
_TAG = re.compile(r"<(/?)([a-z][a-z0-9-]*+)([^<>]*+)>", re.IGNORECASE)
OPTIONAL_END = _words("p li td th tr tbody thead tfoot option dt dd colgroup")
VOID = _words(
    "area base br col embed hr img input link meta source track wbr"
    " mj-image mj-divider mj-spacer mj-include mj-class mj-all mj-font mj-breakpoint"
)


def placed_tags(text: str) -> Iterator[tuple[int, str, int]]:
    """Yields the tags outside of comments: place, name, and 1, -1 or 0.

    1: the tag opens an element. -1: it closes one. 0: the element needs no end tag.
    """
    for tag in _TAG.finditer(without_comments(text)):
        name = tag[2].lower()
        is_leaf = tag[3].endswith("/") or name in VOID
        yield tag.start(), name, 0 if is_leaf else (-1 if tag[1] else 1)


def tags(text: str) -> Iterator[tuple[str, int]]:
    """Yields the tags as `placed_tags` does, without their places."""
    return ((name, step) for _, name, step in placed_tags(text))


def without_comments(text: str) -> str:
    """Returns the text with blanks in place of HTML comments."""
    first, *rest = text.split("<!--")
    parts = [first]
    for part in rest:
        end = part.find("-->")
        if end < 0:
            parts.append(" " * (4 + len(part)))
        else:
            parts += [" " * (end + 7), part[end + 3 :]]
    return "".join(parts)


class Balance:
    """Checks whether a part of a text closes the elements that it opens; one search a check."""

    def __init__(self, text: str) -> None:
        self._places: list[int] = []
        self._sums = [0]
        for at, name, step in placed_tags(text):
            if step and name not in OPTIONAL_END:
                self._places.append(at)
                # Each name has a random number: a sum of 0 means as many end tags as start tags.
                self._sums.append(self._sums[-1] + step * hash(name))

    def is_even(self, begin: int, end: int) -> bool:
        """Returns whether the elements that begin between two places are those that end there."""
        first, last = bisect_left(self._places, begin), bisect_left(self._places, end)
        return self._sums[first] == self._sums[last]


_CONTAINERS = _words(
    "html head body div center table ul ol dl section article header footer main nav aside figure"
    " blockquote form fieldset select"
)
_INLINE = _words(
    "a abbr b big br cite code del em font i img input ins label mark q s small span strike strong"
    " sub sup u"
)
_ROWS_OF = _words("table thead tbody tfoot tr")
_WITHIN_ROWS = _words("caption col colgroup thead tbody tfoot tr td th style script template")
_OWNERS = _words("table ul ol dl select")  # a row or an item in one ends none outside of it
_NEVER_WITHIN_ITSELF = _words("a button form nobr select h1 h2 h3 h4 h5 h6")


def sibling_pairs(text: str) -> int:
    """Returns an upper bound of the pairs of sibling elements in a page.

    The bound is close for pages whose tags are in order. In other pages an HTML parser would move
    elements to other parents; there all tags count as siblings.
    """
    pairs = count = 0
    is_in_order = True
    children = [0]  # of each open element that requires an end tag; others count for their parent
    stack = _Stack()
    for name, step in tags(text):
        count += 1
        if step < 0:
            is_in_order = is_in_order and stack.close(name)
            if name not in OPTIONAL_END and len(children) > 1:
                children.pop()
            continue
        pairs += children[-1]
        children[-1] += 1
        is_in_order = is_in_order and stack.accepts(name)
        if step:
            stack.open(name)
            if name not in OPTIONAL_END:
                children.append(0)
    return pairs if is_in_order else count * count  # an end tag may also create an element


class _Stack:
    """The open elements, and whether their order is that of their tags."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._open: Counter[str] = Counter()

    def open(self, name: str) -> None:
        self._names.append(name)
        self._open[name] += 1

    def accepts(self, name: str) -> bool:
        """Returns whether a parser leaves an element that begins here in this place."""
        top = self._names[-1] if self._names else "body"
        if top in _ROWS_OF and name not in _WITHIN_ROWS:
            return False
        if name in _NEVER_WITHIN_ITSELF and self._open[name]:
            return False
        if name in OPTIONAL_END:
            parents = _OWNERS if self._open[name] else _CONTAINERS
            return top in OPTIONAL_END or top in parents
        return name in _INLINE or not self._open["p"] or top in OPTIONAL_END

    def close(self, name: str) -> bool:
        """Closes an element; returns whether the end tag matches the innermost open element."""
        if name in OPTIONAL_END or name in _CONTAINERS:
            while self._names and self._names[-1] in OPTIONAL_END and self._names[-1] != name:
                self._open[self._names.pop()] -= 1
        if not self._names or self._names[-1] != name:
            return False
        self._open[self._names.pop()] -= 1
        return True
