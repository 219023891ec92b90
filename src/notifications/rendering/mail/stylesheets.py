"""Finds the rules of a stylesheet that cannot be inlined: for a state, or for a part of an element.

`a:hover` and `p::first-line` match no element of the page itself. Such rules are extracted and
remain in a stylesheet; css-inline handles all others.
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
"""Whole comments, strings, addresses and escapes, and the characters that structure a sheet."""
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
"""Pseudo-classes that css-inline can match: they depend on the page, not on its state."""
_OPEN, _CLOSED = "([", ")]"


def rules_of_states(sheet: str) -> str:
    """Returns the rules that cannot be inlined, as written, with only the selectors in question.

    At-rules are not among them. The result is empty when there are none.
    """
    found = []
    for written, block in _rules(sheet):
        selectors = _COMMENT.sub(" ", written).strip()
        wanted = [each for each in _split(selectors) if _is_of_a_state(each)]
        if wanted and not selectors.startswith("@"):
            found.append(f"{','.join(wanted)}{block}")
    return " ".join(found)


def _rules(sheet: str) -> Iterator[tuple[str, str]]:
    """Yields the text before each top-level block of the sheet, and the block with its braces."""
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
    """Splits a list of selectors at the commas outside of brackets."""
    found, start, brackets = [], 0, 0
    for token in _TOKEN.finditer(selectors):
        sign = token[0]
        brackets += (sign in _OPEN) - (sign in _CLOSED)
        if sign == "," and not brackets:
            found.append(selectors[start : token.start()].strip())
            start = token.end()
    return [*found, selectors[start:].strip()]


def _is_of_a_state(selector: str) -> bool:
    """Returns whether a selector depends on more than the page itself."""
    in_square = 0
    for token in _TOKEN.finditer(selector):
        sign = token[0]
        in_square += (sign == "[") - (sign == "]")
        if sign == ":" and not in_square:
            name = _NAME.match(selector, token.end())
            if name and name[0].lower() not in _OF_THE_TREE:
                return True
    return False
