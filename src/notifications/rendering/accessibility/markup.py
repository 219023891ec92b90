"""Reads the tags and texts of a rendered mail in linear time, whatever its author wrote."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_NAME = re.compile(r"[a-zA-Z][^\s/>]*+")
_BLANK = re.compile(r"[\s/]*+")
_ATTRIBUTE = re.compile(
    r"([^\s/>=][^\s/>=]*+)(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s>]*+)))?"
)
_PROPERTY = re.compile(r"[a-zA-Z-]{1,60}")
_LONG_NUMBER = re.compile(r"&#(?:[0-9]{8,}+|[xX][0-9a-fA-F]{7,}+);?")
"""An entity that is no character: Python refuses to read a number of thousands of digits."""
_LONGEST_VALUE = 4_000
"""Characters of an attribute that are read."""
_RAW = ("style", "script", "title", "textarea", "xmp", "noscript")
"""Elements whose contents are no markup, or are not shown."""
VOID = frozenset(
    "area base br col embed hr img input link meta param source track wbr".split()  # noqa: SIM905
)


class Tag(NamedTuple):
    """A tag of a mail."""

    name: str
    attributes: Mapping[str, str]
    is_end: bool
    #: Whether it needs no end tag.
    is_void: bool


def read_markup(text: str) -> Iterator[Tag | str]:
    """Yields tags, and the texts between them with their entities replaced.

    Comments and the contents of stylesheets are left out. As in a browser, a tag without an end
    is the end of the text.
    """
    at = 0
    while at < len(text):
        begin = text.find("<", at)
        if begin < 0:
            yield _shown(text[at:])
            return
        if begin > at:
            yield _shown(text[at:begin])
        if text.startswith("<!", begin):
            at = _after_comment(text, begin)
            continue
        found = _tag(text, begin)
        if found is None:
            at = text.find("<", begin + 1)
            at = len(text) if at < 0 else at
            yield _shown(text[begin:at])
            continue
        tag, at = found
        if tag is None:
            return
        yield tag
        if tag.name in _RAW and not tag.is_end:
            at = _after_raw(text, at, tag.name)


def style_of(tag: Tag) -> dict[str, str]:
    """Returns the declarations of a tag's `style`, in lower case; the last one of a name wins."""
    declared: dict[str, str] = {}
    for each in tag.attributes.get("style", "").split(";"):
        name, colon, value = each.partition(":")
        if colon and _PROPERTY.fullmatch(name := name.strip()):
            declared[name.lower()] = value.strip().lower().removesuffix("!important").strip()
    return declared


def _shown(text: str) -> str:
    """Returns a text with its entities replaced."""
    return html.unescape(_LONG_NUMBER.sub("\ufffd", text))


def _after_comment(text: str, begin: int) -> int:
    mark, skipped = ("-->", 4) if text.startswith("<!--", begin) else (">", 2)
    end = text.find(mark, begin + skipped)
    return len(text) if end < 0 else end + len(mark)


def _after_raw(text: str, at: int, name: str) -> int:
    """Returns the place of the end tag of an element whose contents are no markup."""
    while (end := text.find("</", at)) >= 0:
        if text[end + 2 : end + 2 + len(name)].lower() == name:
            return end
        at = end + 2
    return len(text)


def _tag(text: str, begin: int) -> tuple[Tag | None, int] | None:
    """Returns a tag and the place after it.

    None: the place begins no tag. A tag of None: the tag has no end.
    """
    is_end = text.startswith("</", begin)
    named = _NAME.match(text, begin + 2 if is_end else begin + 1)
    if named is None:
        return None
    attributes: dict[str, str] = {}
    at, is_closed = named.end(), False
    while True:
        blank = _BLANK.match(text, at)
        assert blank is not None  # it matches nothing as well
        is_closed = blank[0].endswith("/")
        at = blank.end()
        if at >= len(text):
            return None, at
        if text[at] == ">":
            break
        found = _ATTRIBUTE.match(text, at)
        if found is None:  # a stray =
            at += 1
            continue
        value = next((each for each in found.groups()[1:] if each is not None), "")
        attributes.setdefault(found[1].lower(), _shown(value[:_LONGEST_VALUE]))
        at = found.end()
    name = named[0].lower()
    return Tag(name, attributes, is_end, is_closed or name in VOID), at + 1
