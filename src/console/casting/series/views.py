"""The list of series, and one drawn as its steps, with the people who wait at each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from console.casting.listing import newest_first
from console.casting.series.stored import shown_of_series
from console.guard import Visit
from console.shell import page
from directory.models import SubscriberList, User
from notifications.domain.campaigns.lifecycle import CampaignApproval
from notifications.domain.series.lifecycle import EnrollmentState, MailSeriesStatus, SeriesTrigger
from notifications.domain.series.steps import SeriesStep
from notifications.features.broadcasts.queries import display_name
from notifications.features.series.approval import RESUME
from notifications.features.series.reading import series_report
from notifications.features.series.report_schemas import SeriesStepCounts
from notifications.features.series.schemas import SeriesTriggerResponse
from notifications.features.series.service import MailSeriesService
from notifications.models import MailSeries, MailSeriesVersion

PATH = "/console/series"
SECTION = "series"
_S = MailSeriesStatus
AWAITING = "awaiting_approval"
WAITS = {"approval": CampaignApproval.REQUESTED.value}
_MOST_VERSIONS = 20


class StepShown(NamedTuple):
    """A mail of a series, the wait before it, and who is there."""

    counts: SeriesStepCounts
    wait: str


class VersionShown(NamedTuple):
    """The steps of one version."""

    number: int
    is_current: bool
    steps: Sequence[StepShown]
    #: Whether it waits for approval.
    is_requested: bool = False


def all_series(visit: Visit) -> HttpResponse:
    """Shows series, the newest first."""
    statuses = [each.value for each in _S]
    rows = MailSeries.objects.all()
    context = newest_first(visit, rows, statuses, PATH, also={AWAITING: WAITS})
    return page(visit, "casting/all_series.html", context, section=SECTION)


def one_series(visit: Visit, number: int) -> HttpResponse:
    """Shows one series: its trigger, its steps, and how many people are where."""
    row = MailSeriesService().find(number, caller=visit.caller)
    shown = MailSeriesService().get(identifier=number, caller=visit.caller)
    report = series_report(row)
    people = User.objects.in_bulk([key for key in (row.created_by_id, row.approved_by_id) if key])
    waits = row.approval == CampaignApproval.REQUESTED
    context: dict[str, Any] = {
        "row": row,
        "trigger": _trigger_in_words(shown.trigger),
        "goal": shown.goal,
        "author": display_name(people.get(row.created_by_id or 0)),
        "approver": display_name(people.get(row.approved_by_id or 0)),
        "is_own": visit.user.pk in {row.created_by_id, *row.involved_user_ids},
        "seen": shown_of_series(row) if row.status != _S.ENDED else "",
        "report": report,
        "totals": [
            (state.value, getattr(report, state.value))
            for state in EnrollmentState
            if hasattr(report, state.value)
        ],
        "versions": _versions(row, report.steps),
        "may": {
            "edit": row.status != _S.ENDED,
            "delete": row.status == _S.DRAFT and not waits,
            "launch": row.status == _S.DRAFT and not waits,
            "pause": row.status == _S.LIVE,
            "resume": row.status == _S.PAUSED and row.requested != RESUME,
            "review": waits,
            "end": row.status in (_S.LIVE, _S.PAUSED),
        },
    }
    return page(visit, "casting/series.html", context, section=SECTION)


def _versions(row: MailSeries, counts: Sequence[SeriesStepCounts]) -> list[VersionShown]:
    """Returns what waits for approval, the newest version, and older ones in which people wait."""
    rows = MailSeriesVersion.objects.filter(series=row).order_by("-number")[:_MOST_VERSIONS]
    found = []
    for version in rows:
        steps = version.read_steps()
        here = [each for each in counts if each.version == version.number]
        is_current, is_requested = version.number == row.version, version.number > row.version
        if is_requested:
            here = [_no_counts(version.number, place, step) for place, step in enumerate(steps)]
        if is_current or is_requested or any(each.waiting for each in here):
            shown = [
                StepShown(each, _step_in_words(step))
                for each, step in zip(here, steps, strict=True)
            ]
            found.append(VersionShown(version.number, is_current, shown, is_requested))
    return found


def _no_counts(version: int, place: int, step: SeriesStep) -> SeriesStepCounts:
    """Returns the counts of a step that no one can have reached."""
    return SeriesStepCounts(
        version=version,
        step=place + 1,
        template_path=step.template_path,
        sent=0,
        waiting=0,
        exited={},
    )


def _step_in_words(step: SeriesStep) -> str:
    text = _wait_in_words(step.wait_days, step.wait_minutes, step.at)
    if not step.learns:
        return text
    hours = step.window_hours
    learned = ngettext(
        "at the learned hour of each person within %(count)d hour",
        "at the learned hour of each person within %(count)d hours",
        hours,
    )
    return f"{text}, {learned % {'count': hours}}"


def _wait_in_words(days: int, minutes: int, at: Any) -> str:
    parts = []
    if days:
        parts.append(ngettext("%(count)d day", "%(count)d days", days) % {"count": days})
    if minutes:
        parts.append(
            ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}
        )
    text = _("after %(time)s") % {"time": " ".join(parts)} if parts else _("at once")
    return _("%(wait)s, at %(clock)s") % {"wait": text, "clock": f"{at:%H:%M}"} if at else text


def _trigger_in_words(trigger: SeriesTriggerResponse) -> str:
    if trigger.on == SeriesTrigger.LIST:
        names = SubscriberList.objects.filter(pk=trigger.list_id or 0).values_list(
            "name", flat=True
        )
        return _("when they are on the mailing list «%(name)s»") % {
            "name": names.first() or trigger.list_id
        }
    if trigger.on == SeriesTrigger.EVENT:
        return _("at the event «%(name)s»") % {"name": trigger.event}
    days = trigger.offset_days
    if not days:
        return _("on the day of the attribute «%(name)s»") % {"name": trigger.attribute}
    if days > 0:
        text = ngettext(
            "%(count)d day after the attribute «%(name)s»",
            "%(count)d days after the attribute «%(name)s»",
            days,
        )
    else:
        text = ngettext(
            "%(count)d day before the attribute «%(name)s»",
            "%(count)d days before the attribute «%(name)s»",
            -days,
        )
    return text % {"count": abs(days), "name": trigger.attribute}
