"""What the forms on the page of a campaign do. The services are those of the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from django.http import Http404, HttpResponse
from django.utils.translation import gettext as _

from console import words
from console.casting.actions import lead_to_copy, read_note
from console.casting.campaigns.views import PATH
from console.casting.seen import check_seen, shown_of_templates
from console.guard import Visit
from console.once import run_once
from console.shell import act
from notifications.domain.campaigns.lifecycle import CampaignApproval
from notifications.features.access.throttles import count_send
from notifications.features.campaigns.schemas import CampaignResponse, CampaignScheduleBody
from notifications.features.campaigns.service import CampaignService
from notifications.features.campaigns.trial import send_test_to_caller
from notifications.infra import clock
from notifications.models import Campaign

Act = Callable[[Visit, int, datetime], str]
_PLAIN = ("launch", "pause", "resume", "cancel", "approve")
"""Actions that are methods of the service with the same arguments."""
_AS_SEEN = frozenset({"launch", "approve"})
"""Those that act on the text that the visitor read."""


def campaign_action(visit: Visit, number: int, action: str) -> HttpResponse:
    """Does what a button says, and leads back to the campaign, or to its copy."""
    one, now = f"{PATH}/{number}", clock.now()
    if action == "duplicate":
        return _duplicate(visit, number)
    if action in _PLAIN:
        return act(visit, lambda: _plain(visit, number, action, now), back=one)
    if action not in _OTHERS:
        raise Http404
    work = _OTHERS[action]
    back = PATH if action == "delete" else one
    return act(visit, lambda: work(visit, number, now), back=back, back_if_refused=one)


def _plain(visit: Visit, number: int, action: str, now: datetime) -> str:
    do = getattr(CampaignService(), action)
    checked = {"check": _as_seen(visit)} if action in _AS_SEEN else {}
    return _said(do(identifier=number, caller=visit.caller, now=now, **checked))


def _as_seen(visit: Visit) -> Callable[[Campaign], None]:
    return lambda row: check_seen(visit, shown_of_templates(row))


def _said(found: CampaignResponse) -> str:
    if found.approval == CampaignApproval.REQUESTED:
        return _("The campaign waits for the approval of a second person.")
    return _("The campaign is now: %(state)s") % {"state": words.state(found.status)}


def _schedule(visit: Visit, number: int, now: datetime) -> str:
    found = CampaignService().schedule(
        identifier=number,
        body=CampaignScheduleBody(),
        caller=visit.caller,
        now=now,
        check=_as_seen(visit),
    )
    return _said(found)


def _reject(visit: Visit, number: int, now: datetime) -> str:
    note = read_note(visit)
    CampaignService().reject(identifier=number, note=note, caller=visit.caller, now=now)
    return _("The campaign was sent back.")


def _delete(visit: Visit, number: int, now: datetime) -> str:
    CampaignService().delete(identifier=number, caller=visit.caller, now=now)
    return _("Deleted.")


def _test(visit: Visit, number: int, now: datetime) -> str:
    row = CampaignService().find(number, caller=visit.caller)

    def send() -> str:
        count_send(kind="send", caller=visit.caller, now=now)
        send_test_to_caller(row, caller=visit.caller, now=now)
        return _("The test is on its way to you.")

    return run_once(visit, f"{PATH}/{number}/test", {}, send)


def _duplicate(visit: Visit, number: int) -> HttpResponse:
    def make() -> tuple[int, str]:
        found = CampaignService().duplicate(identifier=number, caller=visit.caller, now=clock.now())
        return found.key, _("The campaign was copied.")

    return lead_to_copy(visit, make, path=PATH, number=number)


_OTHERS: Mapping[str, Act] = {
    "schedule": _schedule,
    "reject": _reject,
    "delete": _delete,
    "test": _test,
}
