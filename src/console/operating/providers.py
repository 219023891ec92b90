"""Providers and their services: breakers, pauses, limits, and the durations of calls."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _

from console.guard import Visit, may_open
from console.overview.traffic import call_durations
from console.paging import PAGE_ROWS, after_of, cut, page_links
from console.shell import act, page
from notifications.features.operations.service import OperationsService
from notifications.features.providers.breakers import BreakerService
from notifications.features.providers.service import ProviderService
from notifications.models import KillSwitch

PATH = "/console/providers"


def providers(visit: Visit) -> HttpResponse:
    """Shows the providers that carry a channel, and the services that were called.

    A POST closes a breaker and ends a pause: the next messages are sent at once.
    """
    if visit.is_post:
        return act(visit, lambda: _close(visit), back=PATH)
    services = BreakerService().list(
        after=after_of(visit), limit=PAGE_ROWS + 1, caller=visit.caller
    )
    shown, following = cut(services, lambda each: each.id)
    may_stop = may_open(visit, "console/stops")
    stopped: set[str] = set()
    if may_stop:
        rows = OperationsService().stops(caller=visit.caller)
        stopped = {row.value for row in rows if row.scope == KillSwitch.Scope.PROVIDER}
    durations = {each.provider: each for each in call_durations()}
    found = ProviderService().providers(caller=visit.caller)
    context: dict[str, Any] = {
        "providers": [
            {
                "row": each,
                "durations": durations.get(each.key),
                "is_stopped": each.key in stopped,
            }
            for each in found
            if each.chosen
        ],
        "others": [each.key for each in found if not each.chosen],
        "services": shown,
        "links": page_links(visit, PATH, {}, next_after=following),
    }
    return page(visit, "providers.html", context, section="providers")


def _close(visit: Visit) -> str:
    found = BreakerService().close(service=visit.given("service"), caller=visit.caller)
    return _("Closed: %(service)s") % {"service": found.service}
