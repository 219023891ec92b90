"""Whom a signed link speaks to: the person's address as its holder may see it.

A link may have been forwarded with its mail, so an address is shown cut short, and only while it is
still the person's: an old mailbox learns nothing of the new one.
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

LINK_LASTS = timedelta(hours=1)
"""How long a link to preferences lasts that is made on demand; those in mails do not run out."""


@dataclass(frozen=True, slots=True)
class Holder:
    """address: cut short. preferences: the URL of their preferences. All empty for nobody."""

    address: str = ""
    preferences: str = ""
    locale: str = ""


def holder_of(user_id: int, mark: str) -> Holder:
    """The person whose link was sent to the address of a mark; nobody where it is theirs no more,
    and for links that name no address."""
    point = point_of(user_id, mark) if mark else None
    if point is None:
        return Holder()
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None:
        return Holder()
    ends = clock.now() + LINK_LASTS
    url = preferences_url(user_id, point.address, ends=ends)
    return Holder(masked_address(point.kind, point.written_to), url, user.locale)


def address_shown(user_id: int, mark: str) -> str:
    """The address of a mark, or the person's email without one, cut short; empty when there is
    none."""
    if mark:
        point = point_of(user_id, mark)
    else:
        point = ContactPoint.objects.filter(user_id=user_id, kind=ContactKind.EMAIL).first()
    return masked_address(point.kind, point.written_to) if point else ""


def point_of(user_id: int, mark: str) -> ContactPoint | None:
    """The person's contact point whose address, in either spelling, has this mark."""
    for point in ContactPoint.objects.filter(user_id=user_id):
        spellings = {point.address, point.written_to}
        if any(hmac.compare_digest(address_mark(each), mark) for each in spellings):
            return point
    return None
