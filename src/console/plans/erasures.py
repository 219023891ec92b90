"""Erasures of people and addresses, with their certificates."""

from __future__ import annotations

from typing import Any

import msgspec
from django.http import HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from console.guard import Visit
from console.paging import PAGE_ROWS, after_of, cut, page_links
from console.shell import page
from notifications.features.privacy.service import PrivacyService
from notifications.models import Erasure

PATH = "/console/retention/erasures"
_STATES: dict[str, tuple[str | Promise, str]] = {
    Erasure.State.WAITING_FOR_HOLD: (gettext_lazy("waits for the end of a legal hold"), "waiting"),
    Erasure.State.REQUESTED: (gettext_lazy("nothing is sent any more"), "waiting"),
    Erasure.State.KEYS_ERASED: (gettext_lazy("the keys are erased"), "waiting"),
    Erasure.State.DONE: (gettext_lazy("everything is deleted"), "good"),
}


def erasures(visit: Visit) -> HttpResponse:
    """Shows erasures, the newest first."""
    found = PrivacyService().erasures(
        caller=visit.caller, after=after_of(visit), limit=PAGE_ROWS + 1
    )
    rows, following = cut(found, lambda row: row.pk)
    context: dict[str, Any] = {
        "rows": [(row, *_STATES[row.state]) for row in rows],
        "links": page_links(visit, PATH, {}, next_after=following),
    }
    return page(visit, "plans/erasures.html", context, section="retention")


def certificate(visit: Visit, identifier: str) -> HttpResponse:
    """Shows the certificate of an erasure."""
    found = PrivacyService().certificate(identifier=identifier, caller=visit.caller)
    name, tone = _STATES[found.state]
    context: dict[str, Any] = {
        "certificate": found,
        "state": name,
        "tone": tone,
        "removed": sorted(found.removed.items()),
    }
    return page(visit, "plans/certificate.html", context, section="retention")


def as_file(visit: Visit, identifier: str) -> HttpResponse:
    """Returns the certificate as a file of JSON, as the API has it."""
    found = PrivacyService().certificate(identifier=identifier, caller=visit.caller)
    name = f"certificate-{found.certificate_id}.json"
    return HttpResponse(
        msgspec.json.encode(found),
        content_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
