"""Dead letters: messages that failed for good, or that need a person's decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from console.guard import Visit
from console.paging import PAGE_ROWS, after_of, page_links
from console.shell import act, page, url_with
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.domain.identifiers import parse_key
from notifications.features.dead_letters.service import (
    OUTCOMES,
    DeadLetterFilter,
    DeadLetterService,
)
from notifications.features.operations.service import OperationsService
from notifications.features.sending.queries import CHANNELS

PATH = "/console/dead-letters"
_FILTERS = ("channel", "provider", "code", "template")


def dead_letters(visit: Visit) -> HttpResponse:
    """Shows open dead letters, the oldest first; a POST replays, discards or settles some."""
    if visit.is_post:
        back = url_with(PATH, **_filters(visit))
        return act(visit, lambda: _work(visit), back=back)
    filters = _filters(visit)
    found = OperationsService().dead_letters(
        caller=visit.caller,
        channel=filters.get("channel", ""),
        provider=filters.get("provider", ""),
        code=filters.get("code", ""),
        template=filters.get("template", ""),
        after=after_of(visit),
        limit=PAGE_ROWS + 1,
    )
    rows = found[:PAGE_ROWS]
    following = rows[-1].id if len(found) > PAGE_ROWS else None
    context: dict[str, Any] = {
        "rows": rows,
        "filters": [(name, _label(name), filters.get(name, "")) for name in _FILTERS],
        "given": filters,
        "outcomes": list(OUTCOMES),
        "links": page_links(visit, PATH, filters, next_after=following),
        "clear": PATH if filters else "",
    }
    return page(visit, "dead_letters.html", context, section="dead-letters")


def _filters(visit: Visit) -> dict[str, str]:
    found = {name: visit.given(name) for name in _FILTERS}
    if found["channel"] not in CHANNELS:
        found["channel"] = ""
    return {name: value for name, value in found.items() if value}


def _work(visit: Visit) -> str:
    action, reason = visit.given("action"), visit.given("reason")
    if action == "replay-matching":
        done = DeadLetterService().replay_matching(
            wanted=_wanted(_filters(visit)), caller=visit.caller
        )
        return _("Queued again: %(done)d. Left: %(left)d.") % {"done": done.done, "left": done.left}
    ids = _ids(visit)
    if action == "replay":
        count = OperationsService().replay(ids=ids, caller=visit.caller)
    elif action == "discard":
        count = OperationsService().discard(ids=ids, reason=reason, caller=visit.caller)
    else:
        settled = DeadLetterService().resolve(
            ids=ids, outcome=action, reason=reason, caller=visit.caller
        )
        count = settled.settled
    return ngettext(
        "%(count)d dead letter was resolved", "%(count)d dead letters were resolved", count
    ) % {"count": count}


def _wanted(filters: Mapping[str, str]) -> DeadLetterFilter:
    return DeadLetterFilter(
        channel=filters.get("channel", ""),
        provider=filters.get("provider", ""),
        code=filters.get("code", ""),
        template_path=filters.get("template", ""),
    )


def _ids(visit: Visit) -> list[int]:
    """Returns the marked dead letters: a page of them at most."""
    given = visit.request.POST.getlist("id")[:PAGE_ROWS]
    found = [key for key in map(parse_key, given) if key]
    if not found:
        raise InvalidRequest([FieldError("id", "required", _("mark the dead letters first"))])
    return found


def _label(name: str) -> str:
    labels = {
        "channel": _("Channel"),
        "provider": _("Provider"),
        "code": _("Code"),
        "template": _("Template path"),
    }
    return labels[name]
