"""What the buttons on the page of a series do. The services are those of the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from django.db import transaction
from django.http import Http404, HttpResponse
from django.utils.translation import gettext as _

from console import words
from console.casting.seen import check_seen
from console.casting.series.stored import shown_of_series
from console.casting.series.views import PATH
from console.guard import Visit
from console.shell import act
from notifications.features.series.service import MailSeriesService, locked_series
from notifications.infra import clock

Act = Callable[[Visit, int, datetime], str]


def series_action(visit: Visit, number: int, action: str) -> HttpResponse:
    """Launches, pauses, resumes or ends a series, or deletes a draft."""
    if action not in _ACTIONS:
        raise Http404
    one, work = f"{PATH}/{number}", _ACTIONS[action]
    back = PATH if action == "delete" else one
    return act(visit, lambda: work(visit, number, clock.now()), back=back, back_if_refused=one)


def _launch(visit: Visit, number: int, now: datetime) -> str:
    with transaction.atomic():
        MailSeriesService().find(number, caller=visit.caller, to_change=True)
        check_seen(visit, shown_of_series(locked_series(number)))
        found = MailSeriesService().launch(identifier=number, caller=visit.caller, now=now)
    return _said(found.status)


def _pause(visit: Visit, number: int, now: datetime) -> str:
    found = MailSeriesService().pause(identifier=number, caller=visit.caller, now=now)
    return _said(found.status)


def _resume(visit: Visit, number: int, now: datetime) -> str:
    found = MailSeriesService().resume(identifier=number, caller=visit.caller, now=now)
    return _said(found.status)


def _end(visit: Visit, number: int, now: datetime) -> str:
    found = MailSeriesService().end(identifier=number, caller=visit.caller, now=now)
    return _said(found.status)


def _delete(visit: Visit, number: int, now: datetime) -> str:
    MailSeriesService().delete(identifier=number, caller=visit.caller, now=now)
    return _("Deleted.")


def _said(status: str) -> str:
    return _("The series is now: %(state)s") % {"state": words.state(status)}


_ACTIONS: Mapping[str, Act] = {
    "launch": _launch,
    "pause": _pause,
    "resume": _resume,
    "end": _end,
    "delete": _delete,
}
