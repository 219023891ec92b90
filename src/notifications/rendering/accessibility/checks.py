"""Finds what keeps people from reading a rendered mail."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from notifications.rendering.accessibility.looks import TextLook
from notifications.rendering.accessibility.markup import Tag, read_markup

LONGEST = 100_000
"""Characters of a mail that are read. Mail programs cut off longer ones themselves."""
MOST_EXAMPLE = 60
_DEEPEST = 100
_MOST_LINK_TEXT = 200
_MOST_WORDS = 50
"""The texts that are stored of a heading or link: a hundred of them may stand in each other."""
_UNKNOWN = "und"
"""The language of MJML that names none."""
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_DATA_TABLE = ("th", "caption")
_LAYOUT_ROLES = ("presentation", "none")
_FILE = re.compile(r"\S{1,100}\.(?:png|jpe?g|gif|svg|webp|bmp)", re.IGNORECASE)
_VAGUE = frozenset(
    {
        "click", "click here", "click this link", "details", "go", "here", "learn more", "link",
        "more", "press here", "read more", "see here", "this", "this link", "this page", "tap here",
        "больше", "далее", "здесь", "кликните здесь", "нажмите", "нажмите здесь", "нажмите сюда",
        "перейти", "подробнее", "по ссылке", "ссылка", "сюда", "тут", "узнать больше", "читать",
        "читать далее", "эта ссылка",
    }
)  # fmt: skip
_CODES = (
    "language_missing", "language_differs", "heading_first", "heading_skipped", "heading_repeated",
    "heading_empty", "table_role", "low_contrast", "image_without_alt", "image_alt_is_file",
    "link_without_text", "link_vague",
)  # fmt: skip


class AccessibilityFinding(NamedTuple):
    """What keeps people from reading a mail."""

    code: str
    times: int
    example: str


@dataclass(slots=True)
class _Element:
    tag: Tag
    look: TextLook
    #: Of a heading or link: its text and the alternative texts of its images.
    words: list[str] = field(default_factory=list)
    is_data: bool = False

    def add(self, text: str) -> None:
        """Stores a text that stands in it."""
        if len(self.words) < _MOST_WORDS:
            self.words.append(text[:_MOST_LINK_TEXT])


class _Reader:
    """Reads a mail once, and counts what is wrong by its code."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self._open: list[_Element] = []
        self._level = 0
        self._first_headings = 0
        self.language: str | None = None

    def note(self, code: str, example: str = "") -> None:
        self.counts[code] += 1
        self.examples.setdefault(code, " ".join(example.split())[:MOST_EXAMPLE])

    def text(self, text: str) -> None:
        shown = text.replace("\xa0", " ").strip()
        if not shown:
            return
        look = self._look()
        for element in self._open:
            if element.tag.name in _HEADINGS or element.tag.name == "a":
                element.add(shown)
        low = None if _is_mark(shown) else look.lacking()
        if low is not None:
            self.note("low_contrast", f'"{shown[:30]}", {look.colour} on {look.below}, {low:.1f}:1')

    def begin(self, tag: Tag) -> None:
        if tag.name == "html":
            given = tag.attributes.get("lang", "").strip()
            self.language = given if given.lower() not in ("", _UNKNOWN) else None
        elif tag.name == "img":
            self._image(tag)
        elif tag.name in _HEADINGS:
            self._heading(tag)
        elif tag.name in _DATA_TABLE:
            for element in reversed(self._open):
                if element.tag.name == "table":
                    element.is_data = True
                    break
        if not tag.is_void and len(self._open) < _DEEPEST:
            self._open.append(_Element(tag, self._look().inside(tag)))

    def end(self, name: str) -> None:
        names = [each.tag.name for each in self._open]
        if name not in names:
            return
        while self._open:
            element = self._open.pop()
            self._ended(element)
            if element.tag.name == name:
                return

    def finish(self) -> None:
        while self._open:
            self._ended(self._open.pop())
        if self._first_headings > 1:
            self.counts["heading_repeated"] = self._first_headings
            self.examples["heading_repeated"] = ""

    def _look(self) -> TextLook:
        return self._open[-1].look if self._open else TextLook()

    def _heading(self, tag: Tag) -> None:
        level = int(tag.name[1])
        if not self._level and level > 1:
            self.note("heading_first", tag.name)
        elif self._level and level > self._level + 1:
            self.note("heading_skipped", f"h{self._level}, then {tag.name}")
        self._level = level
        self._first_headings += level == 1

    def _image(self, tag: Tag) -> None:
        source = tag.attributes.get("src", "").partition("?")[0].rpartition("/")[2]
        alt = tag.attributes.get("alt")
        is_silent = tag.attributes.get("role") in _LAYOUT_ROLES
        is_silent = is_silent or tag.attributes.get("aria-hidden") == "true"
        if alt is None and not is_silent and not self._look().is_hidden:
            self.note("image_without_alt", source or "without src")
        if alt and _FILE.fullmatch(alt.strip()):
            self.note("image_alt_is_file", alt)
        if alt and alt.strip():
            for element in self._open:
                element.add(alt.strip())

    def _ended(self, element: _Element) -> None:
        tag, words = element.tag, " ".join(element.words)
        if tag.name == "table":
            is_plain = tag.attributes.get("role") not in _LAYOUT_ROLES
            if is_plain and not element.is_data:
                self.note("table_role")
        elif tag.name == "a" and tag.attributes.get("href") and not element.look.is_hidden:
            words = tag.attributes.get("aria-label") or words or tag.attributes.get("title", "")
            if not words.strip():
                self.note("link_without_text", tag.attributes["href"])
            elif " ".join(words.lower().strip(" .:!…»→>").split()) in _VAGUE:
                self.note("link_vague", f'"{words}"')
        elif tag.name in _HEADINGS and not words and not element.look.is_hidden:
            self.note("heading_empty", tag.name)


def find_barriers(html: str, *, locale: str, is_whole: bool) -> list[AccessibilityFinding]:
    """Returns what keeps people from reading a rendered mail, in the order of `_CODES`.

    It takes up to some tenths of a second of CPU time: call it in a render process.

    Args:
        html: the mail; its first 100,000 characters are read.
        locale: the language of its text.
        is_whole: whether it is sent as it is. A layout or partial may lack a language.
    """
    reader = _Reader()
    for part in read_markup(html[:LONGEST]):
        if isinstance(part, str):
            reader.text(part)
        elif part.is_end:
            reader.end(part.name)
        else:
            reader.begin(part)
    reader.finish()
    if is_whole and reader.language is None:
        reader.note("language_missing")
    elif reader.language and _language(reader.language) != _language(locale):
        reader.note("language_differs", reader.language)
    return [
        AccessibilityFinding(code, reader.counts[code], reader.examples[code])
        for code in _CODES
        if reader.counts[code]
    ]


def _language(locale: str) -> str:
    return locale.replace("_", "-").partition("-")[0].lower()


def _is_mark(text: str) -> bool:
    """Returns whether a text has no letter and no digit: a line or a dot that decorates."""
    return not any(each.isalnum() for each in text)
