"""The page on which a broadcast is written, and changed while it may be."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction
from django.http import HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from console.casting.broadcasts import PATH, SECTION
from console.casting.draft import (
    BroadcastForm,
    form_of_broadcast,
    new_broadcast_form,
    read_broadcast_form,
)
from console.casting.fields.choices import (
    Choice,
    audience_choices,
    audience_in_words,
    named_choices,
)
from console.casting.seen import check_seen, seen_of_broadcast
from console.casting.surveys import SECONDS, one_survey
from console.categories import category_keys
from console.forms import FormKind, form_page, saved_or_shown
from console.guard import Visit
from console.once import run_once
from notifications.domain.broadcast_lifecycle import EDITABLE, BroadcastStatus
from notifications.domain.channels import PERSON_CHANNELS
from notifications.domain.errors import CarillonError
from notifications.features.broadcasts.dry_run_schemas import DryRun
from notifications.features.broadcasts.service import BroadcastWorkflow
from notifications.infra import clock
from notifications.models import Broadcast

SCHEDULE = "schedule"
PRIORITIES = (
    ("4", gettext_lazy("low")),
    ("3", gettext_lazy("normal")),
    ("2", gettext_lazy("high")),
    ("1", gettext_lazy("critical: it overtakes everything")),
)


def stored_beside(typed: Any, stored: Any) -> list[tuple[str, str]]:
    """Returns the fields that are stored otherwise than typed, with what is stored.

    Both are a BroadcastForm, or both a CampaignForm, and their bodies have no errors.
    """
    found = [(name, value) for name, value in stored.texts.items() if value != typed.texts[name]]
    if stored.channels != typed.channels:
        found.append(("channels", ", ".join(stored.channels)))
    if stored.audience.audience() != typed.audience.audience():
        words = audience_in_words(stored.audience) or [stored.audience.text]
        found.append(("audience", " ".join(words)))
    return found


_KIND = FormKind(
    "casting/composer.html", SECTION, PATH, seen_of_broadcast, form_of_broadcast, stored_beside
)


def new_broadcast(visit: Visit) -> HttpResponse:
    """Shows the empty form; a POST counts, or writes the broadcast."""
    if not visit.is_post:
        return _composer(visit, new_broadcast_form())
    form = read_broadcast_form(visit)

    def save(body: dict[str, Any]) -> str:
        def create() -> str:
            done = BroadcastWorkflow().create(body=body, caller=visit.caller, now=clock.now())
            return str(done.data.id)

        return run_once(visit, f"{PATH}/new", body, create)

    return _answer(visit, form, save, _("The broadcast was written."))


def edit_broadcast(visit: Visit, number: int) -> HttpResponse:
    """Shows the form of a draft, or of one that is scheduled; a POST counts, or changes it."""
    row = BroadcastWorkflow().find(number, caller=visit.caller)
    if not visit.is_post:
        if row.status not in EDITABLE or row.campaign_id is not None:
            return HttpResponseRedirect(f"{PATH}/{row.pk}")
        return _composer(visit, form_of_broadcast(visit, row), row=row)

    form = read_broadcast_form(visit)

    def save(_body: dict[str, Any]) -> str:
        with transaction.atomic():
            locked = Broadcast.objects.select_for_update().get(pk=row.pk)
            check_seen(visit, seen_of_broadcast(locked))
            body = form.changes(visit, locked, schedule=visit.given("do") == SCHEDULE)
            BroadcastWorkflow().change(number, body=body, caller=visit.caller, now=clock.now())
        return str(row.pk)

    return _answer(visit, form, save, _("The broadcast was changed."), row=row)


def _answer(
    visit: Visit, form: BroadcastForm, save: Any, done: str, *, row: Broadcast | None = None
) -> HttpResponse:
    """Saves, or counts and shows the form again with what it would do."""
    return saved_or_shown(
        visit,
        _KIND,
        lambda: save(form.body(visit)),
        done,
        show=partial(_composer, visit, form, row=row),
        count=lambda: _count(visit, form.body(visit)),
    )


def _count(visit: Visit, body: dict[str, Any]) -> DryRun:
    """Returns what the broadcast would do. A body without a text is counted all the same."""
    counted = {**body, "message": body["message"] or "-"}
    with one_survey(visit):
        found = BroadcastWorkflow().dry_run_of_body(
            body=counted, caller=visit.caller, now=clock.now(), seconds=SECONDS
        )
    return found.data


def _composer(
    visit: Visit,
    form: BroadcastForm,
    *,
    row: Broadcast | None = None,
    count: DryRun | None = None,
    fault: CarillonError | None = None,
) -> HttpResponse:
    context: dict[str, Any] = {
        **audience_fields(form.audience),
        **common_fields(form.texts["category"]),
        "survey": count,
        "may_schedule": row is not None and row.status == BroadcastStatus.DRAFT,
    }
    return form_page(visit, _KIND, form, context, row=row, fault=fault)


def audience_fields(form: Any) -> dict[str, Any]:
    """Returns what the part of a form about its audience shows. form: an AudienceForm."""
    choices, shown = audience_choices(), form.with_blanks()
    return {
        "choices": choices,
        "audience": form,
        "to_rows": choices.with_chosen(shown.to),
        "where_rows": shown.where,
        "without_rows": choices.with_chosen(shown.without),
    }


def common_fields(category: str) -> dict[str, Any]:
    """Returns what forms of broadcasts and campaigns offer alike. Makes one query.

    category: the chosen one.
    """
    return {
        "channels": [str(each) for each in PERSON_CHANNELS],
        "categories": category_keys(category),
        "priorities": named_choices(PRIORITIES),
        "deliveries": [
            Choice("all", _("on every channel")),
            Choice("first", _("in order, until one accepts it")),
        ],
        "tracking": [
            Choice("", _("as the service is set")),
            Choice("yes", _("yes")),
            Choice("no", _("no")),
        ],
    }
