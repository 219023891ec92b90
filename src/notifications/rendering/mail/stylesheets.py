"""What of a stylesheet fits into no tag: rules for a state, or for a part of an element.

`a:hover` is no element of its own, nor is `p::first-line`. Such rules are taken out of a sheet, to
stay beside; all others are css-inline's affair.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"/\*[\s\S]*?(?:\*/|\Z)"
    r"|\"(?:[^\"\\\n]|\\[\s\S])*(?:\"|(?=\n)|\\?\Z)"
    r"|'(?:[^'\\\n]|\\[\s\S])*(?:'|(?=\n)|\\?\Z)"
    r"|[uU][rR][lL]\([^\"'()]*+\)|\\[\s\S]|[{}()\[\];,:]"
)
"""Comments, strings, addresses and escapes as wholes, and the signs that structure a sheet."""
_COMMENT = re.compile(r"/\*[\s\S]*?(?:\*/|\Z)|<!--|-->")
_NAME = re.compile(r":?[a-zA-Z-]*")
_OF_THE_TREE = frozenset(
    (
        "link",
        "any-link",
        "root",
        "empty",
        "first-child",
        "last-child",
        "only-child",
        "first-of-type",
        "last-of-type",
        "only-of-type",
        "nth-child",
        "nth-last-child",
        "nth-of-type",
        "nth-last-of-type",
        "not",
        "has",
    )
)
"""Pseudo-classes that css-inline knows how to match: those of what a page is, and not of what
becomes of it."""
_OPEN, _CLOSED = "([", ")]"


def rules_of_states(sheet: str) -> str:
    """The rules that cannot be written into tags, as they are written, with those selectors alone;
    at-rules are none of them. Empty where there are none."""
    kept = []
    for written, block in _rules(sheet):
        selectors = _COMMENT.sub(" ", written).strip()
        wanted = [each for each in _split(selectors) if _is_of_a_state(each)]
        if wanted and not selectors.startswith("@"):
            kept.append(f"{','.join(wanted)}{block}")
    return " ".join(kept)


def _rules(sheet: str) -> Iterator[tuple[str, str]]:
    """What stands before each block of the sheet itself, and the block in its braces."""
    start = opened = depth = brackets = 0
    for token in _TOKEN.finditer(sheet):
        sign = token[0]
        if sign == "{":
            if not depth:
                opened = token.start()
            depth += 1
        elif sign == "}" and depth:
            depth -= 1
            if not depth:
                yield sheet[start:opened], sheet[opened : token.end()]
                start, brackets = token.end(), 0
        elif not depth and sign in _OPEN:
            brackets += 1
        elif not depth and sign in _CLOSED:
            brackets = max(0, brackets - 1)
        elif not depth and not brackets and sign in ";}":  # an at-rule without a block
            start = token.end()


def _split(selectors: str) -> list[str]:
    """The selectors of a list, at the commas that are in no brackets."""
    found, start, brackets = [], 0, 0
    for token in _TOKEN.finditer(selectors):
        sign = token[0]
        brackets += (sign in _OPEN) - (sign in _CLOSED)
        if sign == "," and not brackets:
            found.append(selectors[start : token.start()].strip())
            start = token.end()
    return [*found, selectors[start:].strip()]


def _is_of_a_state(selector: str) -> bool:
    """Whether a selector asks for more than what a page is."""
    in_square = 0
    for token in _TOKEN.finditer(selector):
        sign = token[0]
        in_square += (sign == "[") - (sign == "]")
        if sign == ":" and not in_square:
            name = _NAME.match(selector, token.end())
            if name and name[0].lower() not in _OF_THE_TREE:
                return True
    return False
