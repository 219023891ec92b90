"""Dead letters: messages that failed for good, or that need a person's decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from console.faults import said
from console.guard import Visit
from console.paging import PAGE_ROWS, after_of, page_links
from console.shell import act, page, url_with
from notifications.domain.errors import CarillonError, FieldError, InvalidRequest
from notifications.domain.identifiers import parse_key
from notifications.features.dead_letters.service import (
    MOST,
    OUTCOMES,
    DeadLetterFilter,
    DeadLetterService,
)
from notifications.features.operations.schemas import DeadLetterResponse
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
    fault, found = "", list[DeadLetterResponse]()
    try:
        found = _read(visit, filters)
    except CarillonError as error:
        fault = said(error)
    rows = found[:PAGE_ROWS]
    following = rows[-1].id if len(found) > PAGE_ROWS else None
    context: dict[str, Any] = {
        "rows": rows,
        "fault": fault,
        "matching": _matching(visit, filters) if filters and rows else 0,
        "channels": CHANNELS,
        "filters": [
            (name, _label(name), filters.get(name, "")) for name in _FILTERS if name != "channel"
        ],
        "given": filters,
        "outcomes": list(OUTCOMES),
        "links": page_links(visit, PATH, filters, next_after=following),
        "clear": PATH if filters else "",
    }
    status = 400 if fault else 200
    return page(visit, "dead_letters.html", context, section="dead-letters", status=status)


def _filters(visit: Visit) -> dict[str, str]:
    found = {name: visit.given(name) for name in _FILTERS}
    return {name: value for name, value in found.items() if value}


def _check_channel(filters: Mapping[str, str]) -> None:
    """Raises InvalidRequest for a channel that does not exist: without it, all would match."""
    if (channel := filters.get("channel", "")) and channel not in CHANNELS:
        detail = _("there is no channel %(channel)s") % {"channel": channel}
        raise InvalidRequest([FieldError("channel", "invalid", detail)])


def _read(visit: Visit, filters: Mapping[str, str]) -> list[DeadLetterResponse]:
    _check_channel(filters)
    return OperationsService().dead_letters(
        caller=visit.caller,
        channel=filters.get("channel", ""),
        provider=filters.get("provider", ""),
        code=filters.get("code", ""),
        template=filters.get("template", ""),
        after=after_of(visit),
        limit=PAGE_ROWS + 1,
    )


def _matching(visit: Visit, filters: Mapping[str, str]) -> int:
    """Returns how many dead letters match, up to the most that one form handles."""
    return DeadLetterService().matching(_wanted(filters), visit.caller)[:MOST].count()


def _work(visit: Visit) -> str:
    action, reason = visit.given("action"), visit.given("reason")
    if action == "replay-matching":
        filters = _filters(visit)
        _check_channel(filters)
        if not filters:
            raise InvalidRequest([FieldError("channel", "required", _("choose a filter first"))])
        done = DeadLetterService().replay_matching(wanted=_wanted(filters), caller=visit.caller)
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
