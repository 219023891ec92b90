"""What the buttons on the page of a series do. The services are those of the API."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.utils.translation import gettext as _

from console import words
from console.casting.actions import read_note
from console.casting.seen import check_seen
from console.casting.series.stored import shown_of_series
from console.casting.series.views import PATH
from console.guard import Visit
from console.shell import act
from notifications.domain.campaigns.lifecycle import CampaignApproval
from notifications.features.series.service import MailSeriesService
from notifications.infra import clock

_ACTIONS = ("launch", "pause", "resume", "end", "approve", "reject", "delete")
_AS_SEEN = frozenset({"launch", "resume", "approve"})
"""Those that act on the steps and texts that the visitor read."""


def series_action(visit: Visit, number: int, action: str) -> HttpResponse:
    """Launches, pauses, resumes, ends, approves or returns a series, or deletes a draft."""
    if action not in _ACTIONS:
        raise Http404
    one = f"{PATH}/{number}"
    back = PATH if action == "delete" else one
    return act(visit, lambda: _done(visit, number, action), back=back, back_if_refused=one)


def _done(visit: Visit, number: int, action: str) -> str:
    do = getattr(MailSeriesService(), action)
    more: dict[str, Any] = {}
    if action in _AS_SEEN:
        more["check"] = lambda row: check_seen(visit, shown_of_series(row))
    if action == "reject":
        more["note"] = read_note(visit)
    found = do(identifier=number, caller=visit.caller, now=clock.now(), **more)
    if action == "delete":
        return _("Deleted.")
    if action == "reject":
        return _("The series was sent back.")
    if found.approval == CampaignApproval.REQUESTED and action in _AS_SEEN:
        return _("The series waits for the approval of a second person.")
    return _("The series is now: %(state)s") % {"state": words.state(found.status)}
