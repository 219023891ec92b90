"""Adds parameters such as `utm_source` to the links of a rendered mail, before they are tracked.

Every http or https link gets them, except those that have such a parameter, pages of this service
that act for their reader (unsubscribing among them), and links that the author excluded.
"""

from __future__ import annotations

import functools
from urllib.parse import quote

from notifications.infra.tracking.links import MAX_URL
from notifications.rendering.mail.links import (
    TEXT_URL,
    links_pattern,
    skipped_parts,
    tag_of,
    target_of,
    url_of_run,
)

_PREFIX = "utm_"
Parameters = tuple[tuple[str, str], ...]


def add_parameters(html: str, text: str, parameters: Parameters) -> tuple[str, str]:
    """Returns the HTML and the text with the parameters in their links."""
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters)
    excluded: set[str] = set()
    html = _in_html(html, query, excluded) if html else ""
    return html, _in_text(text, query, excluded) if "://" in text else text


def _in_html(html: str, query: str, excluded: set[str]) -> str:
    begin = max(html.find("<body"), 0)
    skipped = skipped_parts(html, begin)
    until, beyond = next(skipped)
    parts: list[str] = []
    at = 0
    for found in links_pattern(html).finditer(html, begin):
        start = found.start()
        while start >= beyond:
            until, beyond = next(skipped)
        tag = tag_of(found[1]) if found[2] and start < until else None
        if tag is None:
            continue
        if tag.excluded:
            excluded.add(tag.target.url)
            continue
        url = _with_query(tag.target.url, query).replace("&", "&amp;").replace("'", "&#39;")
        first, last = found.span(1)
        parts += (html[at:first], tag.before, url, tag.after)
        at = last
    parts.append(html[at:])
    return "".join(parts)


def _in_text(text: str, query: str, excluded: set[str]) -> str:
    parts: list[str] = []
    at = 0
    while found := TEXT_URL.search(text, at):
        url = url_of_run(found[0])
        start, at_end = found.start(), found.start() + len(url)
        target = target_of(url) if url not in excluded else None
        is_whole = target is not None and target.url == url
        parts += (text[at:start], _with_query(url, query) if is_whole else url)
        at = at_end
    parts.append(text[at:])
    return "".join(parts)


@functools.lru_cache(maxsize=2048)
def _with_query(url: str, query: str) -> str:
    """Returns a URL with the parameters at the end of its query, before its fragment."""
    rest, mark, fragment = url.partition("#")
    base, _, own = rest.partition("?")
    if any(part.lower().startswith(_PREFIX) for part in own.split("&")):
        return url
    joined = f"{own}&{query}" if own and not own.endswith("&") else f"{own}{query}"
    made = f"{base}?{joined}{mark}{fragment}"
    return made if len(made) <= MAX_URL else url
