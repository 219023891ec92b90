"""Signed links that work without a login: the token says what a link may do.

A token is its fields and a tag over them (HMAC-SHA256, cut to 128 bits, of a key of its own), so a
token costs a microsecond and no row, and no table stores what was mailed. Tokens do not expire
unless they carry a time: a link to unsubscribe must still work years later (RFC 8058).
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from urllib.parse import urlencode

from django.conf import settings

from notifications.infra.conf import environment
from vault.indexes import blind_index

_TAG_BYTES = 16
_LONGEST = 400
ADDRESS_MARK = 16  # characters of an address's blind index
_EPOCH, _TICK = datetime(2000, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


class LinkKind(StrEnum):
    """The purpose of a link. A token of one kind is invalid for another."""

    UNSUBSCRIBE = "u"
    PREFERENCES = "p"
    CONFIRM = "c"
    UNDO = "b"
    DATA = "d"
    INVITATION = "i"
    LIST_CONFIRM = "l"
    LIST_LEAVE = "e"
    PICTURE = "g"


@functools.cache
def _key(secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"links", hashlib.sha256)


def sign_link(kind: LinkKind, *fields: str) -> str:
    """Returns a token of fields of letters, digits, `_`, `-` and `:`. It fits the path of a URL."""
    body = ".".join((kind, *fields))
    return f"{body}.{_tag(body, settings.SECRET_KEY)}"


def link_time(moment: datetime) -> str:
    """Returns a time as a field of a link."""
    return str((moment - _EPOCH) // _TICK)


def read_link_time(field: str) -> datetime:
    """Returns the time in a field of a link that was read."""
    return _EPOCH + int(field) * _TICK


def read_link(kind: LinkKind, token: str, count: int) -> tuple[str, ...] | None:
    """Returns the fields of a token of `sign_link` for this kind; None for any other text.

    Earlier keys (Django's SECRET_KEY_FALLBACKS) still count, because mails are older than a key.
    """
    if len(token) > _LONGEST or not token.isascii():
        return None
    body, _, tag = token.rpartition(".")
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    if not any(hmac.compare_digest(_tag(body, str(key)), tag) for key in keys):
        return None
    found, *fields = body.split(".", count)
    return tuple(fields) if found == kind and len(fields) == count else None


def _tag(body: str, secret: str) -> str:
    digest = hmac.digest(_key(secret), body.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:_TAG_BYTES]).rstrip(b"=").decode()


def unsubscribe_url(user_id: int, category: str, address: str = "") -> str:
    """Returns the link that ends one category for a person; an empty one ends all but urgent ones.

    GET shows a page, POST does it (RFC 8058). address: where the link is sent; the page names it,
    and leads to the person's preferences, as long as it is theirs.
    """
    mark = (address_mark(address),) if address else ()
    token = sign_link(LinkKind.UNSUBSCRIBE, str(user_id), category, *mark)
    return f"{environment().public_url}/unsubscribe/{token}"


def leave_list_url(user_id: int, list_id: int, address: str = "") -> str:
    """Returns the link by which a person leaves one mailing list. Its page is as of the above."""
    token = sign_link(LinkKind.LIST_LEAVE, str(user_id), str(list_id), address_mark(address))
    return f"{environment().public_url}/unsubscribe/{token}"


def has_kind(token: str, kind: LinkKind) -> bool:
    """Returns whether a token claims to be of a kind. It proves nothing: read it."""
    return token.startswith(f"{kind}.")


def preferences_url(user_id: int, address: str = "", *, ends: datetime | None = None) -> str:
    """Returns the link by which a person changes their preferences without a login.

    address: where the link is sent; it opens as long as that address is the person's. ends: until
    when it is good; without it, for good.
    """
    until = str(int(ends.timestamp())) if ends else ""
    token = sign_link(LinkKind.PREFERENCES, str(user_id), address_mark(address), until)
    return f"{environment().public_url}/preferences/{token}"


def address_mark(address: str) -> str:
    """Returns a mark of an address: enough to recognise it, nothing to read."""
    return _mark(address, settings.PEPPER) if address else ""


@functools.lru_cache(maxsize=100)
def _mark(address: str, _pepper: str) -> str:
    """Cached: a mail has up to three links with the mark of one address."""
    return blind_index(address)[:ADDRESS_MARK]


PICTURE_PATH = "/preview-images"


def picture_url(url: str, user_id: int, *, ends: datetime) -> str:
    """Returns the link by which a preview of a member of staff loads a picture of another host.

    A sandboxed frame sends no cookie, so the link names who looks. ends: until when it is good.
    """
    until = str(int(ends.timestamp()))
    token = sign_link(LinkKind.PICTURE, str(user_id), until, _digest(url))
    return f"{environment().public_url}{PICTURE_PATH}?{urlencode({'token': token, 'url': url})}"


def read_picture_link(token: str, url: str, *, now: datetime) -> int | None:
    """Returns the id of the user whose preview shows a picture; None for a link that is not good.

    A link is good for its URL alone.
    """
    fields = read_link(LinkKind.PICTURE, token, 3)
    if fields is None or not hmac.compare_digest(fields[2], _digest(url)):
        return None
    return int(fields[0]) if now.timestamp() < int(fields[1]) else None


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "replace")).hexdigest()
