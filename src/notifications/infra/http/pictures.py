"""Fetches a picture that an author named: guarded against SSRF, bounded in time, size and type.

The type is what the first bytes say. SVG is none of the types, because it may hold a script.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from notifications.infra.conf import environment
from notifications.infra.http.client import AddressRefused, HttpClient, HttpFault
from notifications.infra.http.wire import Response

TIMEOUT_S = 5.0
MOST_BYTES = 2_000_000
_WEBP_MARK = b"RIFF", b"WEBP"
_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


class Picture(NamedTuple):
    """A picture, with the type that its first bytes say."""

    kind: str
    body: bytes


class PictureRefused(Exception):
    """A picture that is not shown; the text says why."""


def fetch_picture(url: str, *, timeout_s: float = TIMEOUT_S) -> Picture:
    """Returns the picture at a URL. It blocks the thread for at most `timeout_s` seconds.

    A redirect is refused: it could lead inside, or to a page that counts who looks.

    Raises:
        PictureRefused: the URL leads inside, nothing came in time, or it is no such picture.
    """
    try:
        found = asyncio.run(_fetched(url, timeout_s))
    except AddressRefused as error:
        raise PictureRefused(str(error)) from error
    except HttpFault as error:
        raise PictureRefused(error.detail) from error
    if found.status != 200:
        raise PictureRefused(f"the server answered {found.status}")
    if not found.complete:
        raise PictureRefused(f"it has more than {MOST_BYTES:,} bytes, or did not come in time")
    kind = kind_of(found.body)
    if not kind:
        raise PictureRefused("it is no PNG, JPEG, GIF or WebP")
    return Picture(kind, found.body)


async def _fetched(url: str, timeout_s: float) -> Response:
    client = HttpClient(
        timeout_s=timeout_s,
        guarded=True,
        allow_private=environment().webhook_allow_private,
        read_limit=MOST_BYTES,
    )
    try:
        return await client.request("GET", url, headers={}, body=b"")
    finally:
        await client.close()


def kind_of(body: bytes) -> str:
    """Returns the type of a picture by its first bytes; empty for all that is no such picture."""
    for beginning, kind in _BEGINNINGS:
        if body.startswith(beginning):
            return kind
    return "image/webp" if (body[:4], body[8:12]) == _WEBP_MARK else ""
