"""What was rendered for a notification, as far as it is stored.

Texts for real providers are not stored after they were sent. The inbox has its own, and the sandbox
stores the messages that it takes. Security messages carry codes and links to new passwords: they
are for administrators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.http import Http404, HttpResponse

from console.guard import Visit
from console.shell import FRAME_POLICY, may_open
from notifications.domain.channels import Channel
from notifications.domain.identifiers import key_of, parse_identifier
from notifications.features.access.principals import may_manage_staff
from notifications.models import Category, InboxArrival, NotificationMessage, SandboxMessage

_SECURITY = "security"


class StoredText(NamedTuple):
    """The text of one message."""

    channel: str
    title: str
    body: str
    #: The key of the message whose HTML a frame shows; 0 for none.
    frame: int


def texts_of(
    visit: Visit, key: int, message_ids: Sequence[int], category: str
) -> list[StoredText] | None:
    """Returns the stored texts; None where the visitor may not read them. Makes two queries."""
    if not may_read(visit, category):
        return None
    found = []
    arrival = InboxArrival.objects.filter(pk=key, retracted_at__isnull=True).first()
    if arrival is not None and arrival.content:
        found.append(_text(Channel.IN_APP, arrival.content, 0))
    for row in SandboxMessage.objects.filter(message_id__in=message_ids).order_by("pk"):
        content = row.content or {}
        found.append(_text(row.channel, content, row.message_id if content.get("html") else 0))
    return found


def may_read(visit: Visit, category: str) -> bool:
    """Returns whether the visitor may read what was written to people in a category."""
    if not may_open(visit, "console/people"):
        return False
    return category != _SECURITY or may_manage_staff(visit.user)


def frame(visit: Visit, identifier: str, message: int) -> HttpResponse:
    """Returns the HTML of one message, for the frame that shows it: no script, no cookies."""
    uuid = parse_identifier(identifier)
    key = key_of(uuid) if uuid is not None and not isinstance(uuid, int) else None
    rows = NotificationMessage.objects.filter(pk=message, notification_id=key or 0)
    category_id = rows.values_list("notification__category_id", flat=True).first()
    if category_id is None:
        raise Http404
    category = Category.objects.filter(pk=category_id).values_list("key", flat=True).first()
    stored = SandboxMessage.objects.filter(message_id=message).first()
    html = stored.content.get("html") if stored is not None and stored.content else None
    if not html or not may_read(visit, category or _SECURITY):
        raise Http404
    response = HttpResponse(html)
    response["Content-Security-Policy"] = FRAME_POLICY
    response["Cache-Control"] = "no-store"
    response["X-Frame-Options"] = "SAMEORIGIN"
    return response


def _text(channel: str, content: Mapping[str, Any], number: int) -> StoredText:
    title, body = str(content.get("title") or ""), str(content.get("body") or "")
    return StoredText(str(channel), title, body, number)
