"""The mail that asks a person to confirm that they join a list, and the link in it.

The signed link names one person, one list, the address and the time. Nothing else is stored for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from directory.models import SubscriberList
from notifications.domain.callers import SYSTEM
from notifications.features.preferences.double_opt_in import LINK_LIFETIME
from notifications.features.sending.service import NotificationService
from notifications.features.templates.system import ensure_system_template
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.links import (
    LinkKind,
    address_mark,
    link_time,
    read_link,
    read_link_time,
    sign_link,
)
from notifications.rendering.texts import consent_texts

DAY = timedelta(days=1)
MOST_A_DAY = 5
"""Such mails to one person in 24 hours for all lists together, those deleted since included."""


class Asked(NamedTuple):
    """A person who is asked."""

    user_id: int
    address: str


class ListRequest(NamedTuple):
    """What a link asks a person to agree to."""

    user_id: int
    list_id: int
    #: The mark of the address that the mail went to (`infra.links.address_mark`).
    mark: str
    #: When the mail was sent.
    since: datetime


def send_confirmations(found: SubscriberList, people: Sequence[Asked], *, now: datetime) -> None:
    """Sends a link to each of these people, in the caller's transaction."""
    if not people:
        return
    ensure_system_template("system", consent_texts.template_fields())
    recipients = [
        {"user_id": each.user_id, "context": {"confirm_url": _url(found, each, now)}}
        for each in people
    ]
    NotificationService().send_bulk(
        body={
            "template_path": consent_texts.PATH,
            "recipients": recipients,
            "channel": "email",
            "priority": 2,
            "context": {"days": LINK_LIFETIME.days, "topic": found.name},
            "options": {
                "throttle": {
                    "key": "confirm_list",
                    "window_s": DAY // timedelta(seconds=1),
                    "limit": MOST_A_DAY,
                }
            },
        },
        caller=SYSTEM,
    )


def read_request(token: str) -> ListRequest | None:
    """Returns what a link asks. None for one that is forged or expired. Changes nothing."""
    fields = read_link(LinkKind.LIST_CONFIRM, token, 4)
    if fields is None:
        return None
    user_id, list_id, mark, ticks = fields
    since = read_link_time(ticks)
    if since + LINK_LIFETIME <= clock.now():
        return None
    return ListRequest(int(user_id), int(list_id), mark, since)


def _url(found: SubscriberList, asked: Asked, now: datetime) -> str:
    token = sign_link(
        LinkKind.LIST_CONFIRM,
        str(asked.user_id),
        str(found.pk),
        address_mark(asked.address),
        link_time(now),
    )
    return f"{environment().public_url}/confirm/{token}"
