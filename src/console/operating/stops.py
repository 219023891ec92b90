"""The stops in force. Stopping and resuming are plain forms: they work without scripts."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _

from console.guard import Visit
from console.shell import act, page
from notifications.domain.channels import Channel
from notifications.features.operations.service import OperationsService
from notifications.models import KillSwitch

PATH = "/console/stops"
SHOWN = 200
_NAMED = 5
_BACK = frozenset({PATH, "/console/providers", "/console"})


def stops(visit: Visit) -> HttpResponse:
    """Shows the stops in force; a POST stops something, or lifts a stop."""
    if visit.is_post:
        work = _lift if visit.given("action") == "lift" else _stop
        return act(visit, lambda: work(visit), back=_back(visit))
    found = OperationsService().stops(caller=visit.caller)
    context: dict[str, Any] = {
        "stops": found[:SHOWN],
        "is_all": any(each.scope == KillSwitch.Scope.ALL for each in found),
        "scopes": [each for each in KillSwitch.Scope.values if each != KillSwitch.Scope.ALL],
        "channels": list(Channel),
    }
    return page(visit, "stops.html", context, section="stops")


def _lift(visit: Visit) -> str:
    OperationsService().lift(
        scope=visit.given("scope"), value=visit.given("value"), caller=visit.caller
    )
    others = OperationsService().stops(caller=visit.caller)[:_NAMED]
    if not others:
        return _("Resumed. Waiting messages are sent.")
    names = [f"{each.scope} {each.value}" if each.value else _("everything") for each in others]
    return _("Resumed. Still stopped: %(what)s") % {"what": ", ".join(names)}


def _stop(visit: Visit) -> str:
    found = OperationsService().stop(
        scope=visit.given("scope"),
        value=visit.given("value"),
        reason=visit.given("reason"),
        caller=visit.caller,
    )
    return _("Stopped: %(what)s") % {"what": found.value or _("everything")}


def _back(visit: Visit) -> str:
    """Returns the page of the form; it is one of ours, whatever the form says."""
    given = visit.given("back")
    return given if given in _BACK else PATH
