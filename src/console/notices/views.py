"""The page of one notification, and what its forms do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from console import words
from console.guard import Visit, may_open
from console.notices.texts import may_read_answers, texts_of
from console.notices.timeline import answers_of, timelines_of, zone_of_person
from console.shell import act, page
from directory.models import User
from notifications.domain.identifiers import key_of, parse_identifier
from notifications.features.operations.service import OperationsService
from notifications.features.recalling.service import RecallService
from notifications.features.sending.explain import REFUSED
from notifications.features.sending.service import NotificationService
from notifications.infra import clock
from notifications.models import DeadLetter, NotificationMessage

_ROUTE = "console/notifications/<str:identifier>"
_WAITING = frozenset({"pending", "processing"})


def notification(visit: Visit, identifier: str) -> HttpResponse:
    """Shows one notification, or one request that was refused."""
    uuid = _uuid(identifier)
    explained = NotificationService().explain(identifier=str(uuid), caller=visit.caller)
    row = None
    key, ids = key_of(uuid) or 0, list[int]()
    if explained.status != REFUSED:
        row = NotificationService().get(identifier=str(uuid), caller=visit.caller)
        messages = NotificationMessage.objects.filter(notification_id=key).order_by("id")
        ids = list(messages.values_list("pk", flat=True))
    user = User.objects.filter(pk=row.user_id).first() if row and row.user_id else None
    letters = _open_letters(ids)
    states = {message.status for message in explained.messages}
    zone = zone_of_person(user.pk if user else None, user.timezone if user else "")
    has_answers = row is not None and may_read_answers(visit, row.category)
    context: dict[str, Any] = {
        "identifier": uuid,
        "row": row,
        "status": explained.status,
        "timelines": timelines_of(
            explained,
            ids,
            answers_of(ids) if has_answers else {},
            now=clock.now(),
            zone=zone,
        ),
        "zone": words.place_of(zone),
        "texts": texts_of(visit, key, ids) if row else None,
        "person": user if may_open(visit, "console/people") else None,
        "may_cancel": bool(states & _WAITING) and may_open(visit, f"{_ROUTE}/cancel"),
        "may_retract": row is not None and may_open(visit, f"{_ROUTE}/retract"),
        "may_replay": bool(letters) and may_open(visit, f"{_ROUTE}/replay"),
    }
    return page(visit, "notification.html", context, section="notifications")


def cancel(visit: Visit, identifier: str) -> HttpResponse:
    """Cancels what waits of a notification."""

    def work(uuid: UUID) -> str:
        found = NotificationService().cancel(identifier=str(uuid), caller=visit.caller)
        return _("Cancelled: %(channels)s") % {"channels": _named(found.cancelled)}

    return _acted(visit, identifier, work)


def retract(visit: Visit, identifier: str) -> HttpResponse:
    """Takes a notification back where that is possible."""

    def work(uuid: UUID) -> str:
        found = RecallService().retract(identifier=str(uuid), caller=visit.caller)
        left = _named(found.not_recallable)
        done = _("Taken back: %(channels)s.") % {"channels": _named(found.recalled)}
        more = _("Cannot be taken back: %(channels)s.") % {"channels": left}
        return f"{done} {more}" if found.not_recallable else done

    return _acted(visit, identifier, work)


def replay(visit: Visit, identifier: str) -> HttpResponse:
    """Sends the dead letters of a notification again."""

    def work(uuid: UUID) -> str:
        messages = NotificationMessage.objects.filter(notification_id=key_of(uuid) or 0)
        letters = _open_letters(list(messages.values_list("pk", flat=True)))
        count = OperationsService().replay(ids=letters, caller=visit.caller) if letters else 0
        return ngettext(
            "%(count)d message was queued again", "%(count)d messages were queued again", count
        ) % {"count": count}

    return _acted(visit, identifier, work)


def _acted(visit: Visit, identifier: str, work: Callable[[UUID], str]) -> HttpResponse:
    uuid = _uuid(identifier)
    return act(visit, lambda: work(uuid), back=f"/console/notifications/{uuid}")


def _uuid(identifier: str) -> UUID:
    found = parse_identifier(identifier)
    if not isinstance(found, UUID):
        raise Http404
    return found


def _open_letters(message_ids: list[int]) -> list[int]:
    rows = DeadLetter.objects.filter(message_id__in=message_ids, resolved_at__isnull=True)
    return list(rows.order_by("pk").values_list("pk", flat=True))


def _named(channels: list[str]) -> str:
    return ", ".join(words.channel(each) for each in channels) or _("nothing")
