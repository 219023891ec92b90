"""Rewrites the links of a rendered mail, and adds the picture that reports opens.

It runs for each mail, so it searches for what it needs and builds no tree. What it does not
understand stays as it is: a link that is not tracked still works, one that is broken does not.
"""

from __future__ import annotations

from typing import NamedTuple

from notifications.infra.tracking.links import MAX_LINKS, LinkSigner
from notifications.rendering.mail.links import tags_in, target_of, with_urls

_HIDDEN = (
    "display:none;font-size:0;line-height:0;max-height:0;max-width:0;opacity:0;overflow:hidden;"
    "mso-hide:all"
)
_PIXEL_STYLE = "border:0;height:1px;width:1px;overflow:hidden"


class TrackedTexts(NamedTuple):
    """The two parts of a mail with tracking links."""

    html: str
    text: str


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
        sign, links, start_of_links = self._signer.sign, self._links, self._signer.start
        parts: list[str] = []
        at, count = 0, 0
        for first, last, tag in tags_in(html):
            target = tag.target
            if tag.excluded:
                self._excluded.add(target.url)
                continue
            place = str(count)
            signature = sign(count, target.content)
            count += 1
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

        def new_of(url: str) -> str:
            end = links.get(url) or self._new_in_text(url)
            return start_of_links + end if end else url

        return with_urls(text, new_of)

    def _new_in_text(self, url: str) -> str:
        """Returns the end of the link of a URL that the HTML does not have; empty for no link."""
        target = target_of(url) if url not in self._excluded else None
        if target is None or target.url != url or self._count >= MAX_LINKS:
            return ""
        signature = self._signer.sign(self._count, target.content)
        end = f"{self._count}&s={signature}&url={target.quoted}"
        self._count += 1
        self._links[url] = end
        return end


def _before_end(html: str, addition: str) -> str:
    at = html.rfind("</body")
    at = html.rfind("</BODY") if at < 0 else at
    if at < 0:
        return html + addition
    return html[:at] + addition + html[at:]
