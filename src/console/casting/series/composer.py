"""The page on which a series is written, and changed."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction
from django.http import HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from console.casting.composer import common_fields
from console.casting.fields.choices import Choice, named_choices
from console.casting.seen import check_seen
from console.casting.series.form import (
    SeriesForm,
    form_of_series,
    new_series_form,
    read_series_form,
    series_beside,
)
from console.casting.series.stored import seen_of_series
from console.casting.series.views import PATH, SECTION
from console.forms import FormKind, form_page, saved_or_shown
from console.guard import Visit
from console.once import run_once
from directory.models import SubscriberList
from notifications.api.bodies import check_body
from notifications.domain.errors import CarillonError
from notifications.domain.series.lifecycle import MailSeriesStatus
from notifications.domain.series.steps import MOST_STEPS
from notifications.features.series.schemas import MailSeriesBody, MailSeriesChangeBody
from notifications.features.series.service import MailSeriesService, locked_series
from notifications.infra import clock
from notifications.models import Goal, MailSeries, NotificationTemplate

_KIND = FormKind(
    "casting/series_composer.html", SECTION, PATH, seen_of_series, form_of_series, series_beside
)
MOST_OFFERED = 200
"""The templates, lists and goals that are offered. Others are typed."""
_TRIGGERS = (
    ("event", gettext_lazy("at an event")),
    ("list", gettext_lazy("when they are on a mailing list")),
    ("date", gettext_lazy("on a date of theirs")),
)


def new_series(visit: Visit) -> HttpResponse:
    """Shows the empty form; a POST writes the draft."""
    if not visit.is_post:
        return _composer(visit, new_series_form())
    form = read_series_form(visit, None)

    def save() -> str:
        given = {name: value for name, value in form.body().items() if value is not None}

        def create() -> str:
            body = check_body(given, MailSeriesBody)
            now = clock.now()
            return str(MailSeriesService().create(body=body, caller=visit.caller, now=now).key)

        return run_once(visit, f"{PATH}/new", given, create)

    show = partial(_composer, visit, form)
    return saved_or_shown(visit, _KIND, save, _("The series was written."), show=show)


def edit_series(visit: Visit, number: int) -> HttpResponse:
    """Shows the form of a series that has not ended; a POST changes it."""
    row = MailSeriesService().find(number, caller=visit.caller)
    if not visit.is_post:
        if row.status == MailSeriesStatus.ENDED:
            return HttpResponseRedirect(f"{PATH}/{row.pk}")
        return _composer(visit, form_of_series(visit, row), row=row)
    form = read_series_form(visit, row)

    def save() -> str:
        with transaction.atomic():
            locked = locked_series(row.pk)
            check_seen(visit, seen_of_series(locked))
            body = check_body(form.changes(locked), MailSeriesChangeBody)
            MailSeriesService().change(
                identifier=number, body=body, caller=visit.caller, now=clock.now()
            )
        return str(row.pk)

    show = partial(_composer, visit, form, row=row)
    return saved_or_shown(visit, _KIND, save, _("The series was changed."), show=show)


def _composer(
    visit: Visit,
    form: SeriesForm,
    *,
    row: MailSeries | None = None,
    fault: CarillonError | None = None,
) -> HttpResponse:
    context: dict[str, Any] = {
        "is_open": row is not None and row.status != MailSeriesStatus.DRAFT,
        **common_fields(form.texts["category"]),
        **_offered(form.texts["list_id"]),
        "triggers": named_choices(_TRIGGERS),
        "steps": form.with_blank_steps(),
        "most_steps": MOST_STEPS,
    }
    return form_page(visit, _KIND, form, context, row=row, fault=fault)


def _offered(chosen: str) -> dict[str, Any]:
    """Returns the templates, lists and goals that the form offers. Makes three queries.

    chosen: the number of the list that the form names. It stays, though it is gone or not offered.
    """
    templates = NotificationTemplate.objects.filter(current_version_id__isnull=False)
    rows = SubscriberList.objects.order_by("name").values_list("pk", "name")[:MOST_OFFERED]
    lists = [Choice(str(key), name) for key, name in rows]
    if chosen and chosen not in {each.value for each in lists}:
        lists.append(Choice(chosen, chosen))
    return {
        "templates": list(templates.order_by("path").values_list("path", flat=True)[:MOST_OFFERED]),
        "lists": lists,
        "goals": list(Goal.objects.order_by("name").values_list("name", flat=True)[:MOST_OFFERED]),
    }
