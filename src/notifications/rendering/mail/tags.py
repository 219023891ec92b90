"""Tags in HTML and MJML, as far as branches and limits need to know them. Linear in any text."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Possessive quantifiers (`*+`) never give back what they took: a tag without an end costs its
# length once, not once for each of its letters.
_TAG = re.compile(r"<(/?)([a-z][a-z0-9-]*+)([^<>]*+)>", re.IGNORECASE)
OPTIONAL_END = _words("p li td th tr tbody thead tfoot option dt dd colgroup")
VOID = _words(
    "area base br col embed hr img input link meta source track wbr"
    " mj-image mj-divider mj-spacer mj-include mj-class mj-all mj-font mj-breakpoint"
)


def placed_tags(text: str) -> Iterator[tuple[int, str, int]]:
    """The tags of a text outside of comments: where, the name, and 1 where it opens an element, -1
    where it closes one, 0 where it needs no end."""
    for tag in _TAG.finditer(without_comments(text)):
        name = tag[2].lower()
        is_leaf = tag[3].endswith("/") or name in VOID
        yield tag.start(), name, 0 if is_leaf else (-1 if tag[1] else 1)


def tags(text: str) -> Iterator[tuple[str, int]]:
    """The same without their places."""
    return ((name, step) for _, name, step in placed_tags(text))


def without_comments(text: str) -> str:
    """The text with blanks in place of HTML's comments."""
    first, *rest = text.split("<!--")
    kept = [first]
    for part in rest:
        end = part.find("-->")
        if end < 0:
            kept.append(" " * (4 + len(part)))
        else:
            kept += [" " * (end + 7), part[end + 3 :]]
    return "".join(kept)


class Balance:
    """Tells of any part of a text whether it closes what it opens, each at the cost of a search."""

    def __init__(self, text: str) -> None:
        self._places: list[int] = []
        self._sums = [0]
        for at, name, step in placed_tags(text):
            if step and name not in OPTIONAL_END:
                self._places.append(at)
                # Names stand for random numbers: a sum of 0 means as many ends as beginnings.
                self._sums.append(self._sums[-1] + step * hash(name))

    def is_even(self, begin: int, end: int) -> bool:
        """Whether each element that begins between two places ends there, and the other way."""
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
_OWNERS = _words("table ul ol dl select")  # within them a row or an item ends none further out
_NEVER_WITHIN_ITSELF = _words("a button form nobr select h1 h2 h3 h4 h5 h6")


def sibling_pairs(text: str) -> int:
    """How many pairs of elements of a page are siblings, at most.

    Exact enough for pages whose tags are in order. Of others, in which a reader of HTML would move
    elements to other parents, all tags count as siblings.
    """
    pairs = count = 0
    is_in_order = True
    children = [0]  # of each open element that needs its end tag; others count for their parent
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
        is_in_order = is_in_order and stack.takes(name)
        if step:
            stack.open(name)
            if name not in OPTIONAL_END:
                children.append(0)
    return pairs if is_in_order else count * count  # an end tag may make an element, too


class _Stack:
    """The elements that are open, and whether their order is that of their tags."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._open: Counter[str] = Counter()

    def open(self, name: str) -> None:
        self._names.append(name)
        self._open[name] += 1

    def takes(self, name: str) -> bool:
        """Whether an element that begins here stays here."""
        top = self._names[-1] if self._names else "body"
        if top in _ROWS_OF and name not in _WITHIN_ROWS:
            return False
        if name in _NEVER_WITHIN_ITSELF and self._open[name]:
            return False
        if name in OPTIONAL_END:
            held = _OWNERS if self._open[name] else _CONTAINERS
            return top in OPTIONAL_END or top in held
        return name in _INLINE or not self._open["p"] or top in OPTIONAL_END

    def close(self, name: str) -> bool:
        """Whether an end tag closes what is open here."""
        if name in OPTIONAL_END or name in _CONTAINERS:
            while self._names and self._names[-1] in OPTIONAL_END and self._names[-1] != name:
                self._open[self._names.pop()] -= 1
        if not self._names or self._names[-1] != name:
            return False
        self._open[self._names.pop()] -= 1
        return True
