"""Adds parameters such as `utm_source` to the links of a rendered mail, before they are tracked.

Every http or https link gets them, except those that have such a parameter, pages of this service
that act for their reader (unsubscribing among them), and links that the author excluded.
"""

from __future__ import annotations

import functools
from urllib.parse import quote

from notifications.infra.tracking.links import MAX_URL
from notifications.rendering.mail.links import tags_in, target_of, with_urls

_PREFIX = "utm_"
Parameters = tuple[tuple[str, str], ...]


def add_parameters(html: str, text: str, parameters: Parameters) -> tuple[str, str]:
    """Returns the HTML and the text with the parameters in their links."""
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters)
    excluded: set[str] = set()
    html = _in_html(html, query, excluded) if html else ""
    return html, _in_text(text, query, excluded) if "://" in text else text


def _in_html(html: str, query: str, excluded: set[str]) -> str:
    parts: list[str] = []
    at = 0
    for first, last, tag in tags_in(html):
        if tag.excluded:
            excluded.add(tag.target.url)
            continue
        url = _with_query(tag.target.url, query).replace("&", "&amp;").replace("'", "&#39;")
        parts += (html[at:first], tag.before, url, tag.after)
        at = last
    parts.append(html[at:])
    return "".join(parts)


def _in_text(text: str, query: str, excluded: set[str]) -> str:
    def new_of(url: str) -> str:
        target = target_of(url) if url not in excluded else None
        return _with_query(url, query) if target is not None and target.url == url else url

    return with_urls(text, new_of)


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
