"""The list of A/B tests, and the page of one: its figures, what they say, and its end."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.utils.translation import gettext as _

from console import words
from console.casting.listing import newest_first
from console.casting.results import results_in_words
from console.guard import Visit, may_open
from console.shell import act, page
from notifications.features.experiments.lifecycle import ENDABLE, find_test, live_campaign_of
from notifications.features.experiments.schemas import ABTestDeclareBody, ABTestResponse
from notifications.features.experiments.service import (
    READ_RESULTS,
    SEND_CAMPAIGNS,
    WRITE_TESTS,
    ABTestService,
)
from notifications.models import ABTestStatus, NotificationABTest

PATH = "/console/experiments"
SECTION = "experiments"
LONGEST_REASON = 500
_S = ABTestStatus


def experiments(visit: Visit) -> HttpResponse:
    """Shows A/B tests, the newest first."""
    rows = NotificationABTest.objects.select_related("template")
    context = newest_first(visit, rows, [str(each) for each in _S.values], PATH)
    return page(visit, "casting/experiments.html", context, section=SECTION)


def experiment(visit: Visit, number: int) -> HttpResponse:
    """Shows one A/B test."""
    found = ABTestService().get(identifier=number, caller=visit.caller)
    results = None
    if visit.caller.may(READ_RESULTS):
        results = ABTestService().results(identifier=number, caller=visit.caller)
    context: dict[str, Any] = {
        "test": found,
        "results": results,
        "verdict": results_in_words(results) if results else "",
        "may": _allowed(visit, found),
        "may_see_campaign": may_open(visit, "console/campaigns"),
    }
    return page(visit, "casting/experiment.html", context, section=SECTION)


def _allowed(visit: Visit, found: ABTestResponse) -> dict[str, bool]:
    """Returns what the role and the state of a test allow. The end of a campaign's needs more."""
    may_write = visit.caller.may(WRITE_TESTS)
    is_of_campaign = (
        found.campaign is not None and live_campaign_of(find_test(found.id)) is not None
    )
    may_end = may_write and (not is_of_campaign or visit.caller.may(SEND_CAMPAIGNS))
    return {
        "start": may_write and not is_of_campaign and found.status in (_S.DRAFT, _S.PAUSED),
        "pause": may_write and not is_of_campaign and found.status == _S.RUNNING,
        "end": may_end and found.status in ENDABLE,
    }


def experiment_action(visit: Visit, number: int, action: str) -> HttpResponse:
    """Starts, pauses or ends a test, or declares its winner."""
    if action not in ("start", "pause", "stop", "declare"):
        raise Http404

    def work() -> str:
        if action == "declare":
            body = ABTestDeclareBody(
                winner=visit.given("winner"),
                reason=visit.given("reason", longest=LONGEST_REASON),
            )
            found = ABTestService().declare(identifier=number, body=body, caller=visit.caller)
            return _("The winner is %(winner)s.") % {"winner": found.winner}
        do = getattr(ABTestService(), action)
        found = do(identifier=number, caller=visit.caller)
        return _("The test is now: %(state)s") % {"state": words.state(found.status)}

    return act(visit, work, back=f"{PATH}/{number}")
