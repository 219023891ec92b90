"""The user of a signed link, with the address as the holder of the link may see it.

A link may have been forwarded with its mail. The address is therefore masked, and shown only while
it is still the user's: the owner of an old mailbox learns nothing about the new one.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import timedelta

from directory.addresses import masked_address
from directory.models import ContactPoint, User
from directory.models.contact import ContactKind
from notifications.infra import clock
from notifications.infra.links import address_mark, preferences_url

LINK_LIFETIME = timedelta(hours=1)
"""The lifetime of a link to preferences that is made on demand; links in mails do not expire."""


@dataclass(frozen=True, slots=True)
class LinkHolder:
    """The user of a link. All fields are empty when there is none."""

    #: Masked.
    address: str = ""
    #: The URL of the user's preferences.
    preferences: str = ""
    locale: str = ""


def find_holder(user_id: int, mark: str) -> LinkHolder:
    """Returns the user whose link was sent to the address with this mark.

    Empty when the address is no longer the user's, and for links that name no address.
    """
    point = find_point(user_id, mark) if mark else None
    if point is None:
        return LinkHolder()
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None:
        return LinkHolder()
    ends = clock.now() + LINK_LIFETIME
    url = preferences_url(user_id, point.address, ends=ends)
    return LinkHolder(masked_address(point.kind, point.written_to), url, user.locale)


def masked_address_of(user_id: int, mark: str) -> str:
    """Returns the masked address with this mark; without a mark, the user's email address.

    Empty when there is none.
    """
    if mark:
        point = find_point(user_id, mark)
    else:
        point = ContactPoint.objects.filter(user_id=user_id, kind=ContactKind.EMAIL).first()
    return masked_address(point.kind, point.written_to) if point else ""


def find_point(user_id: int, mark: str) -> ContactPoint | None:
    """Returns the user's contact point whose address, in either spelling, has this mark."""
    for point in ContactPoint.objects.filter(user_id=user_id):
        spellings = {point.address, point.written_to}
        if any(hmac.compare_digest(address_mark(each), mark) for each in spellings):
            return point
    return None
