"""Pictures of other hosts in previews: loaded through this service where a setting allows it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from notifications.infra.conf import environment
from notifications.infra.links import PICTURE_PATH, picture_url
from notifications.rendering.mail.pictures import with_pictures

SHOWN_FOR = timedelta(minutes=10)
"""A preview that was opened loads its pictures for so long."""


class PicturedMail(NamedTuple):
    """A mail as a preview shows it."""

    html: str
    #: The addresses from which it loads pictures, for its policy; empty for none.
    sources: str


def pictured(html: str, *, viewer: int, now: datetime) -> PicturedMail:
    """Returns a mail whose pictures of other hosts have signed links of this service.

    It is unchanged where the setting forbids that. viewer: the id of the user who looks.
    """
    if not environment().console_images:
        return PicturedMail(html, "")
    ends = now + SHOWN_FOR
    found = with_pictures(html, lambda url: picture_url(url, viewer, ends=ends))
    return PicturedMail(found, f"{environment().public_url}{PICTURE_PATH}")
