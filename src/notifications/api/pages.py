"""Lists by cursor: `{results, next, previous}`.

A cursor is opaque: the key after which its page begins, and those of the pages before it, so that
`previous` needs no query backwards. It allows nothing that the plain list does not.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode

from notifications.api.route import ApiRequest, Query
from notifications.domain.errors import FieldError, InvalidRequest

T = TypeVar("T")
KEPT = 50  # pages that one can go back; beyond that, previous leads to the first page
PAGE_QUERY = (
    Query(name="cursor", about="Where the page begins: taken from `next` or `previous`."),
    Query(
        name="limit",
        about="Rows a page.",
        kind="integer",
        default=50,
        lowest=1,
        highest=200,
    ),
)


@dataclass(frozen=True, slots=True)
class Page:
    """A place in a list. after: the last key before the page; 0 for the first page."""

    limit: int
    trail: tuple[int, ...] = ()

    @property
    def after(self) -> int:
        return self.trail[-1] if self.trail else 0

    @property
    def fetch(self) -> int:
        """How many rows to ask for: one more than shown tells whether there is a next page."""
        return self.limit + 1


def page_of(request: ApiRequest) -> Page:
    """The page that a request asks for.

    Raises:
        InvalidRequest: invalid_cursor.
    """
    text = request.query["cursor"]
    try:
        trail = tuple(int(part) for part in _open(text).split(".")) if text else ()
        if any(not 0 <= key < 1 << 63 for key in trail) or len(trail) > KEPT:
            raise ValueError("not a trail of keys")
    except ValueError as error:
        raise InvalidRequest(
            [FieldError("cursor", "invalid_cursor", "take the cursor from next or previous")]
        ) from error
    return Page(limit=request.query["limit"], trail=trail)


def links(request: ApiRequest, page: Page, keys: Sequence[int]) -> tuple[str | None, str | None]:
    """The addresses of the next and the previous page, given the keys of the fetched rows."""
    return links_to(request, page, keys[page.limit - 1] if len(keys) > page.limit else None)


def links_to(request: ApiRequest, page: Page, key: int | None) -> tuple[str | None, str | None]:
    """The same where the next page begins after `key`; None: there is no next page."""
    following = (*page.trail[1 - KEPT :], key) if key is not None else ()
    return (
        _link(request, following) if following else None,
        _link(request, page.trail[:-1]) if page.trail else None,
    )


def _link(request: ApiRequest, trail: tuple[int, ...]) -> str:
    query = {name: value for name, value in request.http.GET.items() if name != "cursor"}
    if trail:
        query["cursor"] = _seal(".".join(map(str, trail)))
    path = request.http.path
    return request.http.build_absolute_uri(f"{path}?{urlencode(query)}" if query else path)


def _seal(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _open(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text.encode("ascii") + b"==").decode("ascii")
    except (binascii.Error, UnicodeError) as error:
        raise ValueError("not a cursor") from error
