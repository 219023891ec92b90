"""The links of tracked mails: which URLs they may lead to, and how they are signed.

A message has a key of its own (HMAC-SHA256 of its number), and each link a tag: BLAKE2b of 96 bits
under that key, over its kind, its place and its URL. So ten links cost one HMAC, no row stores what
was mailed, and a click is verified without the database: it leads only to a URL of that message.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
from typing import NamedTuple
from urllib.parse import quote

from django.conf import settings

from notifications.domain.engagement import EventKind
from notifications.domain.redaction import LINK_PAGES, PIXEL_PATH
from notifications.infra.conf import environment

OPEN_PATH = f"/{PIXEL_PATH}/"
CLICK_PATH = "/api/v1/track/click"
MAX_URL = 2_000
"""Characters of a URL. A longer one stays as it is: some mail programs cut longer links."""
MAX_LINKS = 500
"""Links of a mail that are tracked; later ones stay as they are."""
_TAG_BYTES = 12
_HONEYPOT = b"h"
_CLICK = b"c"
_OPEN = b"o"
_NUMBER = re.compile(r"[1-9][0-9]{0,18}")
_PLACE = re.compile(r"0|[1-9][0-9]{0,2}")
# A host in ASCII without user information; no blank, control or invisible character, no backslash,
# which browsers read as a slash, and nothing that ends an attribute.
_TARGET = re.compile(
    r"https?://(?:[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?\.?|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?"
    r"(?:[/?#][^\x00-\x20\x7f-\xa0\\<>\"\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ud800-\udfff]*)?",
    re.IGNORECASE | re.ASCII,  # else letters beyond ASCII match [a-z]: a long s, the Kelvin sign
)
_OWN_PAGES = (*LINK_PAGES, "account", "admin", "api", "console")


def is_target(url: str) -> bool:
    """Returns whether a link may lead to a URL: absolute, http or https, and not misleading."""
    return len(url) <= MAX_URL and _TARGET.fullmatch(url) is not None


def is_own(url: str) -> bool:
    """Returns whether a URL is a page of this service that acts for its reader.

    Those of unsubscribing and preferences, of sign-in and invitations: they are never rewritten.
    """
    base = environment().public_url
    if not url.startswith(base):
        return False
    first = re.split(r"[/?#]", url[len(base) :].lstrip("/"), maxsplit=1)[0]
    return first in _OWN_PAGES


@functools.lru_cache(maxsize=4)
def _secret(secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"tracking", hashlib.sha256)


def tracking_base() -> str:
    """Returns the address with which tracking links begin."""
    return environment().tracking_url or environment().public_url


class LinkSigner:
    """Makes the links of one message."""

    __slots__ = ("_base", "_key", "_number", "start")

    def __init__(self, message_id: int, base: str) -> None:
        self._number = message_id
        self._base = base
        self._key = _message_key(str(settings.SECRET_KEY), message_id)
        #: What all links of the message begin with, up to their place. It has no `&`, so that it
        #: is the same in HTML and in a text.
        self.start = f"{base}{CLICK_PATH}?m={message_id}."

    def pixel(self) -> str:
        """Returns the URL of the picture that reports an open."""
        return f"{self._base}{OPEN_PATH}{self._number}.{_tag(self._key, _OPEN)}"

    def sign(self, place: int, content: bytes) -> str:
        """Returns the tag of the link at a place. content: its URL."""
        return _tag(self._key, b"%b%d %b" % (_CLICK, place, content))

    def click(self, place: int, url: str) -> str:
        """Returns the link at a place of the mail."""
        return self._link(place, url, _CLICK)

    def honeypot(self, place: int, url: str) -> str:
        """Returns the link that no person can see. It looks as the others do."""
        return self._link(place, url, _HONEYPOT)

    def _link(self, place: int, url: str, kind: bytes) -> str:
        tag = _tag(self._key, b"%b%d %b" % (kind, place, url.encode()))
        return f"{self.start}{place}&s={tag}&url={quoted_url(url)}"


def quoted_url(url: str) -> str:
    """Returns a URL as a value of a query."""
    return quote(url, safe="/:")


def _message_key(secret: str, message_id: int) -> bytes:
    return hmac.digest(_secret(secret), b"%d" % message_id, hashlib.sha256)


def _tag(key: bytes, content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=_TAG_BYTES, key=key).hexdigest()


class VerifiedClick(NamedTuple):
    """A click whose link was in the message."""

    message_id: int
    kind: EventKind
    place: int
    url: str


def read_open(token: str) -> int | None:
    """Returns the message of a pixel; None for any other text."""
    number, _, tag = token.partition(".")
    if len(token) > 64 or not _NUMBER.fullmatch(number):
        return None
    found = _matching(int(number), {EventKind.OPEN: _OPEN}, tag)
    return int(number) if found else None


def read_click(link: str, tag: str, url: str) -> VerifiedClick | None:
    """Returns the click of a link that was in that message; None for any other values.

    link: the message and the place of the link in it, such as `7.2`.

    Earlier keys (Django's SECRET_KEY_FALLBACKS) still count, because mails are older than a key.
    """
    number, _, place = link.partition(".")
    if not (_NUMBER.fullmatch(number) and _PLACE.fullmatch(place) and is_target(url)):
        return None
    content = b"%d %b" % (int(place), url.encode())
    kinds = {EventKind.CLICK: _CLICK + content, EventKind.HONEYPOT: _HONEYPOT + content}
    kind = _matching(int(number), kinds, tag)
    return VerifiedClick(int(number), kind, int(place), url) if kind else None


def _matching(message_id: int, kinds: dict[EventKind, bytes], tag: str) -> EventKind | None:
    """Returns the kind whose content has this tag, under the current key or an earlier one."""
    if len(tag) != 2 * _TAG_BYTES or not tag.isascii():
        return None
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        key = _message_key(str(secret), message_id)
        for kind, content in kinds.items():
            if hmac.compare_digest(_tag(key, content), tag):
                return kind
    return None
