"""Rewrites the links of a rendered mail, and adds the picture that reports opens.

It runs for each mail, so it searches for what it needs and builds no tree. What it does not
understand stays as it is: a link that is not tracked still works, one that is broken does not.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from html import unescape
from itertools import pairwise
from typing import NamedTuple

from notifications.infra.tracking.links import (
    MAX_LINKS,
    LinkSigner,
    is_own,
    is_target,
    quoted_url,
)

# A tag without its end matches, too, and ends the search in it: else it is read once for each `<a`.
_TAG = r"<a(?:rea)?(?=[\s/])((?:[^>\"']++|\"[^\"]*+\"|'[^']*+')*+)(>?)"
_LOWER_TAG = re.compile(_TAG)  # has a literal prefix, so it skips all other text quickly
_ANY_TAG = re.compile(_TAG, re.IGNORECASE)
_ATTRIBUTE = re.compile(r"([^\s\"'>/=]++)(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'>]++)))?")
_PLAIN = ' href="'
_OFF = "data-track"
_HTML_BLANKS = "\t\n\f\r "
_RAW = re.compile(r"<(style|script|textarea|title|xmp|template)\b", re.IGNORECASE)
_MAY_HIDE = re.compile(r"<(?:!--|[sS][tTcC][yYrR]|[tT][eEiI][xXtTmM]|[xX][mM])")  # it is quicker
_TEXT_URL = re.compile(r"https?://[^\s<>\"]{1,2100}")
_BRACKETS = re.compile(r"[()]")
_AFTER_URL = ".,;:!?'*_]}"
_HIDDEN = (
    "display:none;font-size:0;line-height:0;max-height:0;max-width:0;opacity:0;overflow:hidden;"
    "mso-hide:all"
)
_PIXEL_STYLE = "border:0;height:1px;width:1px;overflow:hidden"


class TrackedTexts(NamedTuple):
    """The two parts of a mail with tracking links."""

    html: str
    text: str


class _Target(NamedTuple):
    url: str
    quoted: str
    #: The URL as it is signed.
    content: bytes


class _Tag(NamedTuple):
    """A start tag whose link may be rewritten: its attributes before and after the URL."""

    before: str
    after: str
    target: _Target
    #: The author excluded the link.
    excluded: bool


class MailTracker:
    """Rewrites one mail."""

    def __init__(self, signer: LinkSigner) -> None:
        self._signer = signer
        self._count = 0
        #: The end of the link of each URL, so that the text part repeats that of the HTML.
        self._links: dict[str, str] = {}
        #: URLs that the author excluded.
        self._excluded: set[str] = set()

    def clicks(self, html: str, text: str) -> TrackedTexts:
        """Returns the parts with their links rewritten."""
        html = self._html(html) if html else ""
        return TrackedTexts(html, self._text(text) if "://" in text else text)

    def pixel(self, html: str) -> str:
        """Returns the HTML with the picture before its end."""
        url = self._signer.pixel()
        picture = f'<img src="{url}" width="1" height="1" alt="" style="{_PIXEL_STYLE}">'
        return _before_end(html, picture)

    def honeypot(self, html: str, url: str) -> str:
        """Returns the HTML with a link that programs see and people do not."""
        link = self._signer.honeypot(self._count, url).replace("&", "&amp;")
        hidden = f'<a href="{link}" aria-hidden="true" tabindex="-1" style="{_HIDDEN}"></a>'
        return _before_end(html, hidden)

    def _html(self, html: str) -> str:
        begin = max(html.find("<body"), 0)
        pattern = _ANY_TAG if "<A" in html else _LOWER_TAG
        skipped = _skipped(html, begin)
        until, beyond = next(skipped)
        sign, links, start_of_links = self._signer.sign, self._links, self._signer.start
        parts: list[str] = []
        at, count = 0, 0
        for found in pattern.finditer(html, begin):
            start = found.start()
            while start >= beyond:
                until, beyond = next(skipped)
            tag = _tag_of(found[1]) if found[2] and start < until else None
            if tag is None:
                continue
            target = tag.target
            if tag.excluded:
                self._excluded.add(target.url)
                continue
            place = str(count)
            signature = sign(count, target.content)
            count += 1
            first, last = found.span(1)
            parts += (
                html[at:first], tag.before, start_of_links, place,
                "&amp;s=", signature, "&amp;url=", target.quoted, tag.after,
            )  # fmt: skip
            at = last
            if target.url not in links:
                links[target.url] = f"{place}&s={signature}&url={target.quoted}"
            if count >= MAX_LINKS:
                break
        self._count = count
        if not parts:
            return html
        parts.append(html[at:])
        return "".join(parts)

    def _text(self, text: str) -> str:
        links, start_of_links = self._links, self._signer.start
        parts: list[str] = []
        at = 0
        while found := _TEXT_URL.search(text, at):
            url = _url_of_run(found[0])
            start = found.start()
            end = links.get(url) or self._new_in_text(url)
            parts += (text[at:start], start_of_links + end if end else url)
            at = start + len(url)
        parts.append(text[at:])
        return "".join(parts)

    def _new_in_text(self, url: str) -> str:
        """Returns the end of the link of a URL that the HTML does not have; empty for no link."""
        target = _target(url) if url not in self._excluded else None
        if target is None or target.url != url or self._count >= MAX_LINKS:
            return ""
        signature = self._signer.sign(self._count, target.content)
        end = f"{self._count}&s={signature}&url={target.quoted}"
        self._count += 1
        self._links[url] = end
        return end


@functools.lru_cache(maxsize=2048)
def _tag_of(attributes: str) -> _Tag | None:
    """Returns a start tag by its attributes; None where nothing is rewritten.

    Most links of a template are the same in each of its mails.
    """
    value, first, last, excluded = _href(attributes)
    target = _target(value) if value else None
    if target is None:
        return None
    # It fits all three forms of a value: it has no blank, no quote and no angle bracket.
    return _Tag(attributes[:first], attributes[last:], target, excluded)


def _href(attributes: str) -> tuple[str, int, int, bool]:
    """Returns the value of `href`, its place, and whether the author excluded the link."""
    has_mark = _OFF in attributes
    if attributes.startswith(_PLAIN) and not has_mark:
        end = attributes.index('"', len(_PLAIN))
        return attributes[len(_PLAIN) : end], len(_PLAIN), end, False
    value, first, last, excluded = "", 0, 0, False
    seen = False
    for each in _ATTRIBUTE.finditer(attributes):
        name = each[1].lower()
        group = each.lastindex or 1
        if name == "href" and not seen:  # the first of several counts
            seen = True
            if group > 1:
                value, (first, last) = each[group], each.span(group)
        elif name == _OFF and group > 1:
            excluded = each[group].strip().lower() == "off"
    return value, first, last, excluded


@functools.lru_cache(maxsize=2048)
def _target(value: str) -> _Target | None:
    """Returns the URL of a value of `href` that may be rewritten; None for any other."""
    url = (unescape(value) if "&" in value else value).strip(_HTML_BLANKS)
    if not is_target(url) or is_own(url):
        return None
    return _Target(url, quoted_url(url), url.encode())


def forget_targets() -> None:
    """Empties the caches. For tests: they depend on settings."""
    _tag_of.cache_clear()
    _target.cache_clear()
    _url_of_run.cache_clear()


def _skipped(html: str, begin: int) -> Iterator[tuple[int, int]]:
    """Yields the stretches that are shown, as (end, begin of the next), in order.

    Comments and elements whose content is no HTML are not shown. An `--!>` ends a comment, too.
    """
    end = len(html)
    gaps: list[tuple[int, int]] = []
    if _MAY_HIDE.search(html, begin):
        comments = list(_comments(html, begin))
        gaps = _merged([*comments, *_raw_elements(html, begin, comments)])
    yield from gaps
    while True:
        yield end, end + 1


def _comments(html: str, begin: int) -> Iterator[tuple[int, int]]:
    at = html.find("<!--", begin)
    while at >= 0:
        last = html.find("-->", at + 2)  # `<!-->` is a whole comment
        if last < 0:
            yield at, len(html) + 1
            return
        yield at, last + 3
        at = html.find("<!--", last + 3)


def _raw_elements(
    html: str, begin: int, comments: list[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    at = begin
    lowered = ""
    inside = iter(comments)
    comment = next(inside, None)
    while found := _RAW.search(html, at):
        while comment is not None and comment[1] <= found.start():
            comment = next(inside, None)
        if comment is not None and comment[0] <= found.start():
            at = comment[1]
            continue
        lowered = lowered or html.lower()
        if len(lowered) != len(html):  # a letter whose lower case is longer: nothing is certain
            yield found.start(), len(html) + 1
            return
        last = lowered.find(f"</{found[1].lower()}", found.end())
        if last < 0:
            yield found.start(), len(html) + 1
            return
        yield found.start(), last
        at = last


def _merged(gaps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Returns gaps in order, without those that begin within an earlier one."""
    gaps.sort()
    found = gaps[:1]
    for _, (first, last) in pairwise(gaps):
        if first >= found[-1][1]:
            found.append((first, last))
        elif last > found[-1][1]:
            found[-1] = (found[-1][0], last)
    return found


@functools.lru_cache(maxsize=2048)
def _url_of_run(run: str) -> str:
    """Returns the URL at the beginning of a run of text: no closing bracket, no punctuation."""
    if ")" in run:
        depth = 0
        for part in _BRACKETS.finditer(run):
            depth += 1 if part[0] == "(" else -1
            if depth < 0:
                run = run[: part.start()]
                break
    return run.rstrip(_AFTER_URL)


def _before_end(html: str, addition: str) -> str:
    at = html.rfind("</body")
    at = html.rfind("</BODY") if at < 0 else at
    if at < 0:
        return html + addition
    return html[:at] + addition + html[at:]
