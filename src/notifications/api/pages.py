"""Lists by cursor: `{results, next, previous}`.

A cursor is opaque: the key after which its page begins, and those of the pages before it, so that
`previous` needs no backward query. A cursor gives no access beyond the plain list.
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
MAX_TRAIL = 50
"""How many pages a caller can go back; beyond that, `previous` leads to the first page."""
PAGE_QUERY = (
    Query(name="cursor", about="The cursor of the page, from `next` or `previous`."),
    Query(
        name="limit",
        about="The most rows of a page.",
        kind="integer",
        default=50,
        lowest=1,
        highest=200,
    ),
)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list."""

    limit: int
    trail: tuple[int, ...] = ()

    @property
    def after(self) -> int:
        """The last key before the page; 0 for the first page."""
        return self.trail[-1] if self.trail else 0

    @property
    def fetch(self) -> int:
        """How many rows to read: one more than the page has, to know whether a next page exists."""
        return self.limit + 1


def page_of(request: ApiRequest) -> Page:
    """Returns the page that a request names.

    Raises:
        InvalidRequest: invalid_cursor.
    """
    text = request.query["cursor"]
    try:
        trail = tuple(int(part) for part in _decode_cursor(text).split(".")) if text else ()
        if any(not 0 <= key < 1 << 63 for key in trail) or len(trail) > MAX_TRAIL:
            raise ValueError("not a trail of keys")
    except ValueError as error:
        raise InvalidRequest(
            [FieldError("cursor", "invalid_cursor", "take the cursor from next or previous")]
        ) from error
    return Page(limit=request.query["limit"], trail=trail)


def links(request: ApiRequest, page: Page, keys: Sequence[int]) -> tuple[str | None, str | None]:
    """Returns the URLs of the next and the previous page, given the keys of the fetched rows."""
    return links_to(request, page, keys[page.limit - 1] if len(keys) > page.limit else None)


def links_to(request: ApiRequest, page: Page, key: int | None) -> tuple[str | None, str | None]:
    """Returns both URLs when the next page begins after `key`; None means no next page."""
    following = (*page.trail[1 - MAX_TRAIL :], key) if key is not None else ()
    return (
        _link(request, following) if following else None,
        _link(request, page.trail[:-1]) if page.trail else None,
    )


def _link(request: ApiRequest, trail: tuple[int, ...]) -> str:
    query = {name: value for name, value in request.http.GET.items() if name != "cursor"}
    if trail:
        query["cursor"] = _encode_cursor(".".join(map(str, trail)))
    path = request.http.path
    return request.http.build_absolute_uri(f"{path}?{urlencode(query)}" if query else path)


def _encode_cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode_cursor(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text.encode("ascii") + b"==").decode("ascii")
    except (binascii.Error, UnicodeError) as error:
        raise ValueError("not a cursor") from error
