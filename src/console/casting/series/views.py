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
from notifications.domain.series.lifecycle import EnrollmentState, MailSeriesStatus, SeriesTrigger
from notifications.features.broadcasts.queries import display_name
from notifications.features.series.reading import series_report
from notifications.features.series.report_schemas import SeriesStepCounts
from notifications.features.series.schemas import SeriesTriggerResponse
from notifications.features.series.service import MailSeriesService
from notifications.models import MailSeries, MailSeriesVersion

PATH = "/console/series"
SECTION = "series"
_S = MailSeriesStatus
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


def all_series(visit: Visit) -> HttpResponse:
    """Shows series, the newest first."""
    statuses = [each.value for each in _S]
    context = newest_first(visit, MailSeries.objects.all(), statuses, PATH)
    return page(visit, "casting/all_series.html", context, section=SECTION)


def one_series(visit: Visit, number: int) -> HttpResponse:
    """Shows one series: its trigger, its steps, and how many people are where."""
    row = MailSeriesService().find(number, caller=visit.caller)
    shown = MailSeriesService().get(identifier=number, caller=visit.caller)
    report = series_report(row)
    author = User.objects.filter(pk=row.created_by_id or 0).first()
    context: dict[str, Any] = {
        "row": row,
        "trigger": _trigger_in_words(shown.trigger),
        "goal": shown.goal,
        "author": display_name(author),
        "report": report,
        "totals": [
            (state.value, getattr(report, state.value))
            for state in EnrollmentState
            if hasattr(report, state.value)
        ],
        "versions": _versions(row, report.steps),
        "seen": shown_of_series(row) if row.status == _S.DRAFT else "",
        "may": {
            "edit": row.status != _S.ENDED,
            "delete": row.status == _S.DRAFT,
            "launch": row.status == _S.DRAFT,
            "pause": row.status == _S.LIVE,
            "resume": row.status == _S.PAUSED,
            "end": row.status in (_S.LIVE, _S.PAUSED),
        },
    }
    return page(visit, "casting/series.html", context, section=SECTION)


def _versions(row: MailSeries, counts: Sequence[SeriesStepCounts]) -> list[VersionShown]:
    """Returns the newest version, and the older ones in which people still wait."""
    rows = MailSeriesVersion.objects.filter(series=row).order_by("-number")[:_MOST_VERSIONS]
    found = []
    for version in rows:
        steps = version.read_steps()
        here = [each for each in counts if each.version == version.number]
        is_current = version.number == row.version
        if is_current or any(each.waiting for each in here):
            shown = [
                StepShown(each, _wait_in_words(step.wait_days, step.wait_minutes, step.at))
                for each, step in zip(here, steps, strict=True)
            ]
            found.append(VersionShown(version.number, is_current, shown))
    return found


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
