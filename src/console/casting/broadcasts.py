"""The list of broadcasts, the page of one, its live figures and its dry run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _

from console.casting.fields.audience import shown_audience
from console.casting.fields.choices import audience_in_words
from console.casting.fields.targets import audience_of
from console.casting.figures import COUNTED, Gauge, figures_event, gauge_words
from console.casting.listing import newest_first
from console.casting.seen import seen_of_broadcast
from console.casting.surveys import SECONDS, one_survey
from console.faults import said
from console.guard import Visit, may_open
from console.once import new_token
from console.shell import page
from directory.models import User
from notifications.domain.broadcast_lifecycle import (
    CANCELLABLE,
    EDITABLE,
    LAUNCHABLE,
    BroadcastStatus,
    RecipientState,
)
from notifications.domain.errors import CarillonError, InvalidRequest
from notifications.features.access.throttles import Throttled
from notifications.features.broadcasts.actions import Progress, progress
from notifications.features.broadcasts.delivery.launch import resolve_audience
from notifications.features.broadcasts.queries import display_name, with_authors
from notifications.features.broadcasts.service import BroadcastWorkflow, check_scope
from notifications.infra import clock
from notifications.models import Broadcast, BroadcastRecipient

PATH = "/console/broadcasts"
SECTION = "broadcasts"
MOST_EXAMINED = 1_000
"""Reasons why people got nothing are counted over so many of them."""
LONG_COLUMNS = ("target_filter", "error_log", "error_reasons", "pace")
"""A list does not read them: an audience may name 100,000 people."""
_S = BroadcastStatus
_RETRIED_FROM = frozenset({_S.SENDING, _S.SENT, _S.COMPLETED, _S.FAILED})
_CHANGES = frozenset({_S.SENDING, _S.PAUSED, _S.SENT})
"""The states in which figures still change."""


def broadcasts(visit: Visit) -> HttpResponse:
    """Shows broadcasts, the newest first; those of campaigns are on the pages of these."""
    rows = Broadcast.objects.filter(campaign__isnull=True).defer(*LONG_COLUMNS)
    statuses = [each.value for each in _S]
    context = newest_first(visit, with_authors(rows), statuses, PATH)
    context["rows"] = [
        (row, row.tally, display_name(row.created_by), row.tally.progress_pct(row.status))
        for row in context["rows"]
    ]
    return page(visit, "casting/broadcasts.html", context, section=SECTION)


def broadcast(visit: Visit, number: int) -> HttpResponse:
    """Shows one broadcast: its audience, how far it has come, and what can be done now."""
    row = BroadcastWorkflow().find(number, caller=visit.caller)
    found = progress(row.pk, now=clock.now())
    gauge = gauge_of(found)
    lines, fault = words_of_audience(row)
    context: dict[str, Any] = {
        **shown_of(visit, row),
        "progress": found,
        "counts": [(name, gauge.counts[name]) for name in COUNTED],
        "gauge": gauge,
        "gauge_words": gauge_words(gauge),
        "is_live": _is_live(row),
        "lines": lines,
        "fault": fault,
        "failures": sorted(row.error_reasons.items(), key=lambda pair: (-pair[1], pair[0])),
        "suppressed": _suppressed_reasons(row.pk) if found.suppressed_count else [],
        "may_see_people": may_open(visit, "console/people"),
    }
    return page(visit, "casting/broadcast.html", context, section=SECTION)


def shown_of(visit: Visit, row: Broadcast) -> dict[str, Any]:
    """Returns what every page about a broadcast shows of it."""
    involved = {row.created_by_id, *row.involved_user_ids}
    return {
        "row": row,
        "name": row.title or _("Broadcast %(number)d") % {"number": row.pk},
        "author": display_name(row.created_by),
        "approver": display_name(_approver(row)),
        "may": _allowed(row) if row.campaign_id is None else {},
        "once": new_token(),
        "seen": seen_of_broadcast(row) if row.status in LAUNCHABLE else "",
        "is_own": visit.user.pk in involved,
        "is_before": row.status in LAUNCHABLE,
    }


def _approver(row: Broadcast) -> User | None:
    return User.objects.filter(pk=row.approved_by_id).first() if row.approved_by_id else None


def _allowed(row: Broadcast) -> dict[str, bool]:
    """Returns what the state of a broadcast allows."""
    return {
        "send": row.status in EDITABLE,
        "edit": row.status in EDITABLE,
        "review": row.status == _S.AWAITING_APPROVAL,
        "pause": row.status == _S.SENDING,
        "resume": row.status == _S.PAUSED,
        "cancel": row.status in CANCELLABLE,
        "retry": row.status in _RETRIED_FROM and row.failed_count > 0,
        "copy": True,
    }


def words_of_audience(row: Broadcast) -> tuple[Sequence[str], str]:
    """Returns the audience of a broadcast in words, and what is wrong with it."""
    try:
        lines = audience_in_words(shown_audience(audience_of(row)))
        return lines or [resolve_audience(row, now=clock.now()).description], ""
    except InvalidRequest as error:
        return [], said(error)


def _suppressed_reasons(number: int) -> list[tuple[str, int]]:
    """Counts why recipients got nothing, over the first MOST_EXAMINED of them."""
    rows = BroadcastRecipient.objects.filter(
        broadcast_id=number, state=RecipientState.SUPPRESSED.value
    )
    counts: dict[str, int] = {}
    for each in rows.order_by("recipient_id").values_list("error", flat=True)[:MOST_EXAMINED]:
        counts[each or ""] = counts.get(each or "", 0) + 1
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def gauge_of(found: Progress) -> Gauge:
    """Returns how far a broadcast has come."""
    return Gauge(
        status=found.status,
        total=found.total_recipients,
        counts={name: max(0, getattr(found, f"{name}_count")) for name in COUNTED},
        percent=found.progress_pct,
        rate_per_second=round(found.rate_per_second, 1),
        eta_seconds=found.eta_seconds,
    )


def figures(visit: Visit, number: int) -> HttpResponse:
    """Returns the figures of a broadcast as one server-sent event."""
    check_scope(visit.caller)
    gauge = gauge_of(progress(number, now=clock.now()))
    row = Broadcast.objects.only("status", "cleared").get(pk=number)
    return figures_event(gauge, ended=not _is_live(row), slow=gauge.status != _S.SENDING)


def _is_live(row: Broadcast) -> bool:
    """Returns whether figures still change: also while a cancellation is carried out."""
    return row.status in _CHANGES or not row.cleared


def dry_run(visit: Visit, number: int) -> HttpResponse:
    """Shows what sending a broadcast would do. Nothing is sent or written."""
    row = BroadcastWorkflow().find(number, caller=visit.caller)
    lines, _fault = words_of_audience(row)
    fault, survey, status = "", None, 200
    try:
        with one_survey(visit):
            found = BroadcastWorkflow().dry_run(
                number, caller=visit.caller, now=clock.now(), seconds=SECONDS
            )
        survey = found.data
    except CarillonError as error:
        fault, status = said(error), 429 if isinstance(error, Throttled) else 400
    context = {**shown_of(visit, row), "lines": lines, "survey": survey, "fault": fault}
    return page(visit, "casting/dry_run.html", context, section=SECTION, status=status)
