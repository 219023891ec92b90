"""What was rendered for a notification, as far as it is stored.

Texts for real providers are not stored after they were sent. The inbox has its own, and the sandbox
stores the messages that it takes. Texts are for administrators, and the audit log says who saw
which. Security messages carry codes and links to new passwords: what providers answered about
those, which repeats the text, is for administrators too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.http import Http404, HttpResponse

from console.guard import Visit, may_open
from console.shell import framed
from notifications.domain.channels import Channel
from notifications.domain.identifiers import key_of, parse_identifier
from notifications.features.access.principals import OPERATIONS, may_manage_staff
from notifications.infra import clock
from notifications.models import (
    InboxArrival,
    Notification,
    NotificationMessage,
    SandboxMessage,
)
from notifications.models.audit.actions import record_change

FRAME_PAGE = "console/notifications/<str:identifier>/frame/<int:message>"
"""The roles that open this page read texts."""
_SECURITY = "security"


class StoredText(NamedTuple):
    """The text of one message."""

    channel: str
    title: str
    body: str
    #: The key of the message whose HTML a frame shows; 0 for none.
    frame: int


def texts_of(visit: Visit, key: int, message_ids: Sequence[int]) -> list[StoredText] | None:
    """Returns the stored texts; None where the visitor may not read them. Makes two queries.

    The audit log gets an entry where there is a text.
    """
    if not may_open(visit, FRAME_PAGE):
        return None
    found = []
    arrival = InboxArrival.objects.filter(pk=key, retracted_at__isnull=True).first()
    if arrival is not None and arrival.content:
        found.append(_text(Channel.IN_APP, arrival.content, 0))
    for row in SandboxMessage.objects.filter(message_id__in=message_ids).order_by("pk"):
        content = row.content or {}
        found.append(_text(row.channel, content, row.message_id if content.get("html") else 0))
    if found:
        _record(visit, key)
    return found


def may_read_answers(visit: Visit, category: str) -> bool:
    """Returns whether the visitor may read what providers answered about a category."""
    if not visit.caller.may(OPERATIONS):
        return False
    if not may_open(visit, "console/people"):
        return False
    return category != _SECURITY or may_manage_staff(visit.user)


def frame(visit: Visit, identifier: str, message: int) -> HttpResponse:
    """Returns the HTML of one message, for the frame that shows it: no script, no cookies."""
    uuid = parse_identifier(identifier)
    key = key_of(uuid) if uuid is not None and not isinstance(uuid, int) else None
    if not NotificationMessage.objects.filter(pk=message, notification_id=key or 0).exists():
        raise Http404
    stored = SandboxMessage.objects.filter(message_id=message).first()
    html = stored.content.get("html") if stored is not None and stored.content else None
    if not html:
        raise Http404
    _record(visit, key or 0)
    return framed(html)


def _record(visit: Visit, key: int) -> None:
    """Writes to the audit log that the visitor saw the texts of a notification."""
    row = Notification.objects.filter(pk=key).values_list("uuid", "user_id").first()
    if row is not None:
        record_change(
            actor=visit.caller.name,
            action="text.shown",
            target=f"notification:{row[0]}",
            at=clock.now(),
            subject_id=row[1],
        )


def _text(channel: str, content: Mapping[str, Any], number: int) -> StoredText:
    title, body = str(content.get("title") or ""), str(content.get("body") or "")
    return StoredText(str(channel), title, body, number)
