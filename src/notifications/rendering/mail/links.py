"""Finds the links of a rendered mail that may be rewritten, in its HTML and in its text.

It runs for each mail, so it searches for what it needs and builds no tree. What it does not
understand stays as it is: a link that is not rewritten still works, one that is broken does not.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from html import unescape
from itertools import pairwise
from typing import NamedTuple

from notifications.infra.tracking.links import is_own, is_target, quoted_url

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


class MailTarget(NamedTuple):
    """A URL that may be rewritten."""

    url: str
    quoted: str
    #: The URL as it is signed.
    content: bytes


class MailTag(NamedTuple):
    """A start tag whose link may be rewritten: its attributes before and after the URL."""

    before: str
    after: str
    target: MailTarget
    #: The author excluded the link.
    excluded: bool


@functools.lru_cache(maxsize=2048)
def tag_of(attributes: str) -> MailTag | None:
    """Returns a start tag by its attributes; None where nothing is rewritten.

    Most links of a template are the same in each of its mails.
    """
    value, first, last, excluded = _href(attributes)
    target = target_of(value) if value else None
    if target is None:
        return None
    # A URL may have an apostrophe: who writes it into an attribute escapes that, and `&`.
    return MailTag(attributes[:first], attributes[last:], target, excluded)


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
def target_of(value: str) -> MailTarget | None:
    """Returns the URL of a value of `href` that may be rewritten; None for any other."""
    url = (unescape(value) if "&" in value else value).strip(_HTML_BLANKS)
    if not is_target(url) or is_own(url):
        return None
    return MailTarget(url, quoted_url(url), url.encode())


def forget_targets() -> None:
    """Empties the caches. For tests: they depend on settings."""
    tag_of.cache_clear()
    target_of.cache_clear()
    url_of_run.cache_clear()


def _skipped_parts(html: str, begin: int) -> Iterator[tuple[int, int]]:
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
def url_of_run(run: str) -> str:
    """Returns the URL at the beginning of a run of text: no closing bracket, no punctuation."""
    if ")" in run:
        depth = 0
        for part in _BRACKETS.finditer(run):
            depth += 1 if part[0] == "(" else -1
            if depth < 0:
                run = run[: part.start()]
                break
    return run.rstrip(_AFTER_URL)


def tags_in(html: str) -> Iterator[tuple[int, int, MailTag]]:
    """Yields the start tags whose links may be rewritten, with the place of their attributes."""
    begin = max(html.find("<body"), 0)
    skipped = _skipped_parts(html, begin)
    until, beyond = next(skipped)
    pattern = _ANY_TAG if "<A" in html else _LOWER_TAG
    for found in pattern.finditer(html, begin):
        start = found.start()
        while start >= beyond:
            until, beyond = next(skipped)
        tag = tag_of(found[1]) if found[2] and start < until else None
        if tag is not None:
            yield *found.span(1), tag


def with_urls(text: str, new_of: Callable[[str], str]) -> str:
    """Returns a text with each of its URLs replaced."""
    parts: list[str] = []
    at = 0
    while found := _TEXT_URL.search(text, at):
        url = url_of_run(found[0])
        start = found.start()
        parts += (text[at:start], new_of(url))
        at = start + len(url)
    parts.append(text[at:])
    return "".join(parts)
