"""Makes the text part of a mail that has only HTML.

It is made once, when the version is compiled. The HTML carries marks in the places that only a
render can fill; it becomes text with the same marks, which is compiled as a template. Where this is
impossible (a value is itself HTML), each rendered page is converted, which takes many times longer.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from inscriptis import get_text
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.model.config import ParserConfig
from jinja2 import nodes

from notifications.rendering.engine import TEXT, CompiledText
from notifications.rendering.language.meter import MAX_OUTPUT, METER, Meter
from notifications.rendering.language.sandbox import Sandbox
from notifications.rendering.language.trees import find_all
from notifications.rendering.mail.pages import End, Event, Start, Text, read_page
from notifications.rendering.mail.skeleton import MARK, Skeleton, Unfit
from notifications.rendering.mail.tags import VOID

_HTML_VALUES = frozenset({"safe", "e", "escape", "forceescape"})
_UNSHOWN = frozenset({"head", "style", "script", "title", "template"})
_APART = frozenset("p h1 h2 h3 h4 h5 h6 table ul ol blockquote pre".split())  # noqa: SIM905
_LINES = frozenset("div tr section article header footer main nav center dl dt dd".split())  # noqa: SIM905
_LINE, _PARAGRAPH = "\x1e", "\x1f"  # breaks: several in a row count as one
_BLANKS = re.compile(r"[ \t\r\n\f\xa0\x1e\x1f]+")
_HIDDEN = re.compile(r"display\s?:\s?none", re.IGNORECASE)
_SPACES = re.compile(r" {2,}")
_CELLS = re.compile(r"(?: ?\t ?)+")
_BREAKS = re.compile(r"(?:[ \t]?[\n\x1e\x1f])+[ \t]?")


class PlainText(CompiledText):
    """The text part of a mail, compiled from its HTML. Raises Unfit where that is impossible."""

    __slots__ = ()

    def _prepared(self, tree: nodes.Template, env: Sandbox) -> Sandbox:
        super()._prepared(tree, env)
        if any(node.name in _HTML_VALUES for node in find_all(tree, nodes.Filter)):
            raise Unfit("a value is HTML")
        for macro in reversed(list(find_all(tree, nodes.Macro))):  # the inner ones first
            macro.body = _plain(macro.body)
        tree.body = _plain(tree.body)
        tree.set_environment(TEXT)
        return TEXT

    def render(self, variables: dict[str, Any]) -> str:
        """Returns the rendered text. Its loops are counted apart from those of the HTML."""
        meter = Meter()
        meter.started = variables[METER].started
        return tidied(super().render({**variables, METER: meter}))


def _plain(body: list[nodes.Node]) -> list[nodes.Node]:
    skeleton = Skeleton(body)
    writer = _Writer()
    for event in read_page(skeleton.text):
        writer.add(event)
    return skeleton.statements("".join(writer.parts), may_lose=True)


class _Writer:
    """Collects the text of a page. Spaces and empty lines are normalized by each render."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._links: list[str] = []
        self._unshown: list[str] = []  # open elements with the tag that began a hidden part

    def add(self, event: Event) -> None:
        """Adds the next event of the page."""
        if isinstance(event, Start):
            self._start(event.name, event.attributes)
        elif isinstance(event, End):
            self._end(event.name)
        elif isinstance(event, Text):
            self._text(event.data)
        else:
            self._comment(event.data)

    def _start(self, tag: str, given: Mapping[str, str]) -> None:
        if self._unshown:
            if tag == self._unshown[0]:
                self._unshown.append(tag)
            return
        hidden = tag in _UNSHOWN or _HIDDEN.search(given.get("style", ""))
        if hidden and tag not in VOID:
            self._unshown.append(tag)
            return
        self._break(tag)
        if tag == "a":
            self._links.append(given.get("href", ""))
            self._write("[" if self._links[-1] else "")
        elif tag == "img":
            self._write(given.get("alt", ""))
        elif tag == "li":
            self._write(f"{_LINE}* ")
        elif tag in ("br", "hr"):
            self._write("\n" if tag == "br" else f"{_LINE}---{_LINE}")

    def _end(self, tag: str) -> None:
        if self._unshown:
            if tag == self._unshown[0]:
                self._unshown.pop()
            return
        if tag == "a" and self._links:
            href = self._links.pop()
            self._write(f"]({href})" if href else "")
        elif tag in ("td", "th"):
            self._write("\t")
        self._break(tag)

    def _text(self, data: str) -> None:
        if not self._unshown:
            self._write(_BLANKS.sub(" ", data))

    def _comment(self, data: str) -> None:
        mark = f"<!--{data}-->"
        if MARK.fullmatch(mark) and not self._unshown:
            self._write(mark)

    def _break(self, tag: str) -> None:
        if tag in _APART:
            self._write(_PARAGRAPH)
        elif tag in _LINES:
            self._write(_LINE)

    def _write(self, text: str) -> None:
        self.parts.append(text)


def tidied(text: str) -> str:
    """Returns the text with one space between words, two between cells, at most one empty line."""
    text = _CELLS.sub("\t", _SPACES.sub(" ", text))
    return _BREAKS.sub(_broken, text).strip().replace("\t", "  ")


def _broken(run: re.Match[str]) -> str:
    return "\n\n" if _PARAGRAPH in run[0] or run[0].count("\n") > 1 else "\n"


_STRICT = ParserConfig(css=CSS_PROFILES["strict"], display_links=True)
_ROW = re.compile(r"<tr\b", re.IGNORECASE)
_OF_TABLES = re.compile(r"(</?)(?:table|tbody|thead|tfoot|tr|td|th)\b", re.IGNORECASE)


@functools.lru_cache(maxsize=16)
def text_of_html(html: str) -> str:
    """Returns the text of a rendered page; links include their address.

    Each cell is padded to the widest of its column. Where that could make more text than a render
    may have, the cells are written one below the other.
    """
    widest = max(map(len, html.split("<")))
    if widest * len(_ROW.findall(html)) > MAX_OUTPUT:
        html = _OF_TABLES.sub(r"\1div", html)
    text: str = get_text(html, _STRICT)
    lines = (line.strip() for line in text.strip().splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"
