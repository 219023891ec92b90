"""The first-run guide: from an installation that sends no mail to a first real one."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from console.faults import faults_of, status_of, unknown_action
from console.guard import Visit
from console.operating.first_run_words import HINDRANCES, shown
from console.shell import act, page
from notifications.domain.errors import CarillonError
from notifications.features.providers.mail_setup import (
    ENCRYPTIONS,
    MailSetup,
    MailSetupService,
    SetupTrial,
)
from notifications.infra.conf import environment

PATH = "/console/first-run"
_LONGEST = 600
_LONGEST_TOKEN = 8_000
_ENCRYPTIONS: dict[str, str | Promise] = {
    "auto": gettext_lazy("by the port (usual)"),
    "starttls": "STARTTLS",
    "tls": gettext_lazy("TLS from the first byte"),
    "none": gettext_lazy("none: for a relay on this network"),
}


def first_run(visit: Visit) -> HttpResponse:
    """Shows the guide; a POST tries settings, or stores those of a trial."""
    if not visit.is_post:
        return _guide(visit)
    if visit.given("action") == "store":
        return act(visit, lambda: _store(visit), back=PATH)
    try:
        if visit.given("action") != "try":
            raise unknown_action()
        trial = MailSetupService().try_out(_typed(visit), caller=visit.caller)
    except CarillonError as error:
        return _guide(visit, fault=error)
    return _guide(visit, trial=trial)


def _typed(visit: Visit) -> MailSetup:
    names = ("sender", "server", "encryption", "user", "to")
    given = {name: visit.given(name, longest=_LONGEST) for name in names}
    given["to"] = given["to"] or visit.user.email
    given["encryption"] = given["encryption"] or ENCRYPTIONS[0]
    # Blanks at the ends of a password may be part of it.
    return MailSetup(**given, password=visit.request.POST.get("password", ""))


def _store(visit: Visit) -> str:
    token = visit.given("token", longest=_LONGEST_TOKEN)
    MailSetupService().store(token, caller=visit.caller)
    return _("Stored. Restart the service: from then on it sends mails by this server.")


def _guide(
    visit: Visit, *, trial: SetupTrial | None = None, fault: CarillonError | None = None
) -> HttpResponse:
    service, current = MailSetupService(), environment()
    hindrance = service.hindrance(caller=visit.caller)
    names = ("sender", "server", "encryption", "user", "to")
    context: dict[str, Any] = {
        "provider": current.email_provider,
        "typed": {name: visit.given(name, longest=_LONGEST) for name in names},
        "encryptions": [(name, _ENCRYPTIONS[name]) for name in ENCRYPTIONS],
        "own_address": visit.user.email,
        "trial": trial,
        "findings": [shown(each) for each in trial.findings] if trial else [],
        "hindrance": HINDRANCES.get(hindrance, ""),
        "stored": service.stored_state(caller=visit.caller),
        "faults": dict(faults_of(fault)),
        "is_sandbox": current.email_provider == "sandbox",
    }
    status = status_of(fault) if fault else 200
    return page(visit, "first_run.html", context, section="providers", status=status)
