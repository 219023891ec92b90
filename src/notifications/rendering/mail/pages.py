"""Reads HTML as a sequence of tags, texts and comments, in time linear in its length.

Python's own html.parser searches repeatedly for the end of an unfinished tag or comment.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

_NAME = re.compile(r"[a-zA-Z][^\s/>]*+")
_END_OR_VALUE = re.compile(r">|=[ \t\r\n\f]*+([\"'])")
_ATTRIBUTE = re.compile(
    r"""([^\s"'>/=][^\s>/=]*+)(?:\s*+=\s*+("[^"]*+"|'[^']*+'|[^\s"'>][^\s>]*+))?"""
)
_LONG_REFERENCE = re.compile(r"&#[0-9]{8,}+;?")  # names no character; Python parses the number
_ENDS_OF_RAW = {
    "script": re.compile("</script", re.IGNORECASE),
    "style": re.compile("</style", re.IGNORECASE),
}


class Text(NamedTuple):
    """The text between tags, with character references resolved."""

    data: str


class Comment(NamedTuple):
    """The content of a comment."""

    data: str


class Start(NamedTuple):
    """The start tag of an element."""

    name: str
    #: The first value of each attribute; names are in lower case.
    attributes: dict[str, str]
    #: Whether the tag also ends the element, as `<br/>` does; an End follows.
    is_whole: bool


class End(NamedTuple):
    """The end tag of an element."""

    name: str


Event = Text | Comment | Start | End


def read_page(page: str) -> Iterator[Event]:
    """Yields the tags, texts and comments of a page. An unfinished one is text up to the end."""
    at = 0
    while at < len(page):
        opening = page.find("<", at)
        if opening < 0:
            break
        if opening > at:
            yield Text(unescaped(page[at:opening]))
        event, at = _markup(page, opening)
        if event is not None:
            yield event
        if isinstance(event, Start):
            if event.is_whole:
                yield End(event.name)
            elif event.name in _ENDS_OF_RAW:
                at = _end_of_raw(page, event.name, at)
    if at < len(page):
        yield Text(unescaped(page[at:]))


def unescaped(text: str) -> str:
    """Returns a text with its character references resolved."""
    return html.unescape(_LONG_REFERENCE.sub("\ufffd", text)) if "&" in text else text


def _markup(page: str, at: int) -> tuple[Event | None, int]:
    """Returns the event that begins at a `<`, and where it ends."""
    if page.startswith("<!--", at):
        end = page.find("-->", at + 4)
        return (Comment(page[at + 4 : end]), end + 3) if end >= 0 else _rest(page, at)
    if page.startswith(("<!", "<?", "</ "), at):
        end = page.find(">", at)
        return (None, end + 1) if end >= 0 else _rest(page, at)
    closes = page.startswith("</", at)
    name = _NAME.match(page, at + 2 if closes else at + 1)
    if name is None:
        return Text("<"), at + 1
    end = page.find(">", name.end()) if closes else _end_of_tag(page, name.end())
    if end < 0:
        return _rest(page, at)
    if closes:
        return End(name[0].lower()), end + 1
    return _start(name[0].lower(), page[name.end() : end]), end + 1


def _rest(page: str, at: int) -> tuple[Event, int]:
    return Text(unescaped(page[at:])), len(page)


def _end_of_tag(page: str, at: int) -> int:
    """Returns the place of a tag's `>` outside of values; -1 when there is none."""
    while found := _END_OR_VALUE.search(page, at):
        if found[1] is None:
            return found.start()
        end = page.find(found[1], found.end())
        at = end + 1 if end >= 0 else found.end()
    return -1


def _start(name: str, inside: str) -> Start:
    found: dict[str, str] = {}
    read = 0
    for each in _ATTRIBUTE.finditer(inside):
        value, read = each[2] or "", each.end()
        if value[:1] in ("'", '"'):
            value = value[1:-1]
        found.setdefault(each[1].lower(), unescaped(value))
    # The last `/` may belong to an address without quotes.
    return Start(name, found, inside.endswith("/") and read < len(inside))


def _end_of_raw(page: str, name: str, at: int) -> int:
    """Returns the place of the end tag of an element without HTML inside; else the page's end."""
    found = _ENDS_OF_RAW[name].search(page, at)
    return found.start() if found else len(page)
