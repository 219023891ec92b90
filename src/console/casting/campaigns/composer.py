"""The page on which a campaign is written, and changed while it may be; and what it says."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from console import words
from console.casting.campaigns.form import (
    CampaignForm,
    form_of_campaign,
    new_campaign_form,
    read_campaign_form,
)
from console.casting.campaigns.views import PATH, SECTION
from console.casting.composer import audience_fields, common_fields, stored_beside
from console.casting.fields.audience import AudienceForm, AudienceRow
from console.casting.fields.choices import Choice, audience_in_words
from console.casting.fields.values import read_values
from console.casting.frames import LONGEST
from console.casting.seen import check_seen, seen_of_campaign
from console.casting.surveys import count_people
from console.faults import said
from console.forms import FormKind, form_page, saved_or_shown
from console.guard import Visit
from console.once import run_once
from console.shell import framed
from notifications.api.bodies import check_body
from notifications.domain.campaigns.lifecycle import EDITABLE
from notifications.domain.channels import PERSON_CHANNELS
from notifications.domain.errors import CarillonError
from notifications.features.campaigns.contents import audience_rule
from notifications.features.campaigns.schemas import CampaignBody, CampaignChangeBody
from notifications.features.campaigns.service import CampaignService
from notifications.features.sending.service import NotificationService
from notifications.infra import clock
from notifications.models import Campaign, NotificationTemplate

_KIND = FormKind(
    "casting/campaign_composer.html",
    SECTION,
    PATH,
    seen_of_campaign,
    form_of_campaign,
    stored_beside,
)
MOST_TEMPLATES = 200


def new_campaign(visit: Visit) -> HttpResponse:
    """Shows the empty form; a POST counts, or writes the draft."""
    if not visit.is_post:
        return _composer(visit, new_campaign_form())
    form = read_campaign_form(visit, None)

    def save(given: dict[str, Any]) -> str:
        given = {name: value for name, value in given.items() if value is not None}

        def create() -> str:
            body = check_body(given, CampaignBody)
            now = clock.now()
            return str(CampaignService().create(body=body, caller=visit.caller, now=now).key)

        return run_once(visit, f"{PATH}/new", given, create)

    return _answer(visit, form, save, _("The campaign was written."))


def edit_campaign(visit: Visit, number: int) -> HttpResponse:
    """Shows the form of a draft, or of one that is scheduled; a POST counts, or changes it."""
    row = CampaignService().find(number, caller=visit.caller)
    if not visit.is_post:
        if row.status not in EDITABLE:
            return HttpResponseRedirect(f"{PATH}/{row.pk}")
        return _composer(visit, form_of_campaign(visit, row), row=row)

    def save(given: dict[str, Any]) -> str:
        now = clock.now()
        with transaction.atomic():
            locked = Campaign.locked(row.pk)
            check_seen(visit, seen_of_campaign(locked))
            body = check_body(form.changes(given, visit, locked), CampaignChangeBody)
            CampaignService().change(identifier=number, body=body, caller=visit.caller, now=now)
        return str(row.pk)

    form = read_campaign_form(visit, row)
    return _answer(visit, form, save, _("The campaign was changed."), row=row)


def _answer(
    visit: Visit, form: CampaignForm, save: Any, done: str, *, row: Campaign | None = None
) -> HttpResponse:
    """Saves, or counts the audience and shows the form again."""
    return saved_or_shown(
        visit,
        _KIND,
        lambda: save(form.body(visit)),
        done,
        show=partial(_composer, visit, form, row=row),
        count=lambda: count_people(visit, _counted(form, row)),
    )


def _counted(form: CampaignForm, row: Campaign | None) -> dict[str, Any]:
    """Returns the audience of a form without the segments that the stored campaign leaves out."""
    exclude = row.exclude if row else []
    return audience_rule(Campaign(audience=form.audience.audience(), exclude=exclude))


def _excluded_words(row: Campaign | None) -> str:
    """Returns the names of the segments that a campaign leaves out. The form does not change it."""
    rows = [AudienceRow("segment", str(key)) for key in (row.exclude if row else [])]
    return " ".join(audience_in_words(AudienceForm(to=rows))) if rows else ""


def _composer(
    visit: Visit,
    form: CampaignForm,
    *,
    row: Campaign | None = None,
    count: int | None = None,
    fault: CarillonError | None = None,
) -> HttpResponse:
    templates = NotificationTemplate.objects.filter(current_version_id__isnull=False)
    context: dict[str, Any] = {
        **audience_fields(form.audience),
        **common_fields(form.texts["category"]),
        "blank_category": True,
        "excluded": _excluded_words(row),
        "variants": form.with_blank_variant(),
        "templates": list(
            templates.order_by("path").values_list("path", flat=True)[:MOST_TEMPLATES]
        ),
        "late": [
            Choice("send_now", _("it is sent at once")),
            Choice("next_day", _("it is sent at that time of the next day")),
        ],
        "decisions": [
            Choice("evidence", _("as soon as it is safe to stop")),
            Choice("deadline", _("at the deadline alone")),
        ],
        "metrics": [
            Choice("click_rate", _("clicks")),
            Choice("open_rate", _("opens")),
            Choice("conversion_rate", _("conversions on the goal")),
        ],
        "count": count,
    }
    return form_page(visit, _KIND, form, context, row=row, fault=fault)


def preview_campaign(visit: Visit) -> HttpResponse:
    """Shows what the template and the values of a form say to the visitor."""
    path = visit.given("template_path")
    channel = visit.given("channels") or "email"
    try:
        given = read_values(visit.given("context", longest=LONGEST), "context")
    except CarillonError as error:
        return _fault(said(error))
    return _shown(visit, path, given, channel)


def campaign_frame(visit: Visit, number: int, channel: str) -> HttpResponse:
    """Returns what a campaign says to the visitor on one channel, for the frame that shows it."""
    row = CampaignService().find(number, caller=visit.caller)
    if channel not in row.channels:
        raise Http404
    return _shown(visit, row.template_path, row.context, channel)


def _shown(visit: Visit, path: str, values: dict[str, Any], channel: str) -> HttpResponse:
    """Renders the published template as a send to the visitor would."""
    if channel not in {str(each) for each in PERSON_CHANNELS}:
        raise Http404
    body = {
        "template_path": path,
        "user_id": visit.user.pk,
        "channel": channel,
        "context": values,
    }
    try:
        found = NotificationService().simulate(body=body, caller=visit.caller).messages[0]
    except CarillonError as error:
        return _fault(said(error))
    if found.content is None:
        return _fault(words.reason(found.reason))
    if found.content.html:
        return framed(found.content.html, viewer=visit.user.pk)
    text = {"title": found.content.title, "message": found.content.body}
    return framed(render_to_string("console/casting/frame.html", text))


def _fault(detail: str) -> HttpResponse:
    context = {"title": _("Nothing to show"), "message": detail}
    return framed(render_to_string("console/casting/frame.html", context))
