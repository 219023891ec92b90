"""Titles of texts: a first line that is followed by an empty line.

The end of the title is marked in the source before it is compiled, so the template decides what its
title is, never a value.
"""

from __future__ import annotations

import re

TITLE_END = "\ue000"  # private use: no author types it, and whitespace control leaves it alone
_UNTITLED = frozenset(
    {"email_html_template", "email_body_template", "email_subject_template", "sms_template"}
)
_EXTENDS = re.compile(r"\s*\{%[-+]?\s*extends\b")
_BREAKS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
_BLANK = " \t\r"


def one_line(text: str) -> str:
    """Returns a title on one line: text after a line break could be read as a mail header."""
    return _BREAKS.sub(" ", text).strip()


def marked(field: str, source: str) -> str:
    """Returns the source with a mark at the end of its title.

    A text that extends a layout has the layout's title and is not marked.
    """
    if field in _UNTITLED or _EXTENDS.match(source):
        return source
    end = title_end(source)
    return source if end is None else f"{source[:end]}{TITLE_END}{source[end:]}"


def title_end(source: str) -> int | None:
    """Returns the end of the title in a text whose first line precedes an empty one; else None."""
    begin = len(source) - len(source.lstrip())
    line_end = source.find("\n", begin)
    next_end = source.find("\n", line_end + 1)
    if begin == len(source) or line_end < 0 or next_end < 0:
        return None
    if source[line_end + 1 : next_end].strip(_BLANK) or not source[next_end:].strip():
        return None
    return len(source[:line_end].rstrip(_BLANK))
