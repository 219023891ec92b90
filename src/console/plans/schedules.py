"""Scheduled series: when they recur, and what became of the last occurrences."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from console.guard import Visit
from console.paging import PAGE_ROWS, after_of, listed
from console.shell import act, page
from notifications.features.scheduling.series import SeriesService
from notifications.models import ScheduleOccurrence, SeriesStatus

PATH = "/console/schedules"
SHOWN = 20
"""The newest occurrences on the page of a series."""


def schedules(visit: Visit) -> HttpResponse:
    """Shows series, the oldest first."""
    found = SeriesService().list(caller=visit.caller, after=after_of(visit), limit=PAGE_ROWS + 1)
    context: dict[str, Any] = {
        **listed(visit, PATH, found, lambda row: row.key),
    }
    return page(visit, "plans/schedules.html", context, section="schedules")


def schedule(visit: Visit, number: int) -> HttpResponse:
    """Shows one series; a POST cancels it."""
    if visit.is_post:
        return act(visit, lambda: _cancelled(visit, number), back=f"{PATH}/{number}")
    found = SeriesService().get(identifier=number, caller=visit.caller)
    rows = ScheduleOccurrence.objects.filter(series_id=number).order_by("-due_at", "-pk")
    context: dict[str, Any] = {
        "series": found,
        "occurrences": list(rows[:SHOWN]),
        "may_cancel": found.status != SeriesStatus.CANCELLED,
    }
    return page(visit, "plans/schedule.html", context, section="schedules")


def _cancelled(visit: Visit, number: int) -> str:
    done = SeriesService().cancel(identifier=number, caller=visit.caller)
    if not done.cancelled:
        return _("The series was cancelled.")
    return ngettext(
        "The series was cancelled, with %(count)d notification that was not sent yet.",
        "The series was cancelled, with %(count)d notifications that were not sent yet.",
        done.cancelled,
    ) % {"count": done.cancelled}
