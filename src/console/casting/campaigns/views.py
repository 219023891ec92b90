"""The list of campaigns, and the page of one: progress, variants, results and report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.http import HttpResponse
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from console import words
from console.casting.fields.audience import shown_audience
from console.casting.fields.choices import audience_in_words
from console.casting.figures import COUNTED, Gauge, figures_event, gauge_words
from console.casting.listing import (
    Searched,
    chosen_status,
    newest_first,
    recipients_shown,
)
from console.casting.recipients import (
    LONGEST_NAME,
    find_people_named,
    forgotten_words,
    is_forgotten,
    missing_in_words,
    notifications_of,
)
from console.casting.results import results_in_words
from console.casting.seen import shown_of_templates
from console.casting.surveys import SECONDS, one_survey
from console.faults import said
from console.guard import Visit
from console.once import new_token
from console.paging import PAGE_ROWS, after_of, cut
from console.shell import page
from directory.models import User
from notifications.domain.campaigns.lifecycle import (
    EDITABLE,
    CampaignApproval,
    CampaignStatus,
)
from notifications.domain.errors import CarillonError
from notifications.features.access.throttles import Throttled
from notifications.features.broadcasts.queries import display_name, recipient_responses
from notifications.features.campaigns.progress import campaign_progress
from notifications.features.campaigns.recipients import recipients_of
from notifications.features.campaigns.report import campaign_report
from notifications.features.campaigns.report_schemas import (
    HELD_OUT,
    CampaignEstimateResponse,
    CampaignProgressResponse,
)
from notifications.features.campaigns.service import CampaignService
from notifications.features.campaigns.trial import estimate
from notifications.features.experiments.service import READ_RESULTS, ABTestService
from notifications.infra import clock
from notifications.models import BroadcastRecipient, Campaign, CampaignHoldout

PATH = "/console/campaigns"
SECTION = "campaigns"
_S, _A = CampaignStatus, CampaignApproval
AWAITING = "awaiting_approval"
WAITS = {"status": _S.DRAFT.value, "approval": _A.REQUESTED.value}
"""Campaigns that wait for a second person are drafts."""
LONG_COLUMNS = ("audience", "exclude", "context", "segment_criteria")
"""Lists and figures do not read them: an audience may name 100,000 people."""
LONGEST_SHOWN = 1_000
"""Characters of an audience that a page shows as JSON."""
_CANCELLABLE = frozenset({_S.DRAFT, _S.SCHEDULED, _S.RUNNING, _S.PAUSED})


def campaigns(visit: Visit) -> HttpResponse:
    """Shows campaigns, the newest first."""
    statuses = [each.value for each in _S]
    rows = Campaign.objects.defer(*LONG_COLUMNS)
    context = newest_first(visit, rows, statuses, PATH, also={AWAITING: WAITS})
    return page(visit, "casting/campaigns.html", context, section=SECTION)


def campaign(visit: Visit, number: int) -> HttpResponse:
    """Shows one campaign: what it says to whom, how far it has come, and what it did."""
    row = CampaignService().find(number, caller=visit.caller)
    now = clock.now()
    found = campaign_progress(row, now=now)
    gauge = gauge_of_campaign(found)
    test = found.ab_test
    results = None
    if test is not None and visit.caller.may(READ_RESULTS):
        results = ABTestService().results(identifier=test.ab_test_id, caller=visit.caller)
    context: dict[str, Any] = {
        **shown_of_campaign(visit, row),
        "progress": found,
        "counts": [(name, gauge.counts[name]) for name in COUNTED],
        "gauge": gauge,
        "gauge_words": gauge_words(gauge),
        "is_live": _is_live(row),
        "lines": words_of_campaign(row),
        "test": test,
        "results": results,
        "verdict": results_in_words(results) if results else "",
    }
    return page(visit, "casting/campaign.html", context, section=SECTION)


def campaign_report_page(visit: Visit, number: int) -> HttpResponse:
    """Shows what became of a campaign. The page of the campaign loads it after itself."""
    row = CampaignService().find(number, caller=visit.caller)
    context = {
        **shown_of_campaign(visit, row),
        "report": campaign_report(row, now=clock.now()),
    }
    return page(visit, "casting/campaign_report.html", context, section=SECTION)


def shown_of_campaign(visit: Visit, row: Campaign) -> dict[str, Any]:
    """Returns what every page about a campaign shows of it."""
    keys = [key for key in (row.created_by_id, row.approved_by_id) if key]
    people = User.objects.in_bulk(keys)
    involved = {row.created_by_id, *row.involved_user_ids}
    return {
        "row": row,
        "name": row.name,
        "author": display_name(people.get(row.created_by_id or 0)),
        "approver": display_name(people.get(row.approved_by_id or 0)),
        "may": _allowed(row),
        "once": new_token(),
        "seen": shown_of_templates(row) if row.status in EDITABLE else "",
        "is_own": visit.user.pk in involved,
        "is_before": row.started_at is None and row.status != _S.CANCELLED,
    }


def _allowed(row: Campaign) -> dict[str, bool]:
    """Returns what the state of a campaign allows."""
    waits = row.approval == _A.REQUESTED
    is_timed = row.scheduled_at is not None or bool(row.local_time)
    return {
        "launch": row.status in EDITABLE and not waits,
        "schedule": row.status == _S.DRAFT and is_timed and not waits,
        "edit": row.status in EDITABLE,
        "review": waits,
        "pause": row.status == _S.RUNNING,
        "resume": row.status == _S.PAUSED,
        "cancel": row.status in _CANCELLABLE,
    }


def words_of_campaign(row: Campaign) -> list[str]:
    """Returns the audience of a campaign in words; its JSON where rows cannot say it."""
    form = shown_audience(row.audience)
    return audience_in_words(form) or [Truncator(form.text).chars(LONGEST_SHOWN)]


def gauge_of_campaign(found: CampaignProgressResponse) -> Gauge:
    """Returns how far a campaign has come."""
    return Gauge(
        status=found.status,
        total=found.recipients,
        counts={name: getattr(found, name) for name in COUNTED},
        percent=found.progress_pct,
        rate_per_second=round(found.rate_per_second, 1),
        eta_seconds=found.eta_seconds,
    )


def _is_live(row: Campaign) -> bool:
    return row.status in (_S.RUNNING, _S.PAUSED)


def campaign_figures(visit: Visit, number: int) -> HttpResponse:
    """Returns the figures of a campaign as one server-sent event."""
    row = CampaignService().find(number, caller=visit.caller, without=LONG_COLUMNS)
    gauge = gauge_of_campaign(campaign_progress(row, now=clock.now()))
    return figures_event(gauge, ended=not _is_live(row), slow=row.status != _S.RUNNING)


def campaign_estimate(visit: Visit, number: int) -> HttpResponse:
    """Shows what a campaign would do now. Nothing is sent."""
    row = CampaignService().find(number, caller=visit.caller)
    found: CampaignEstimateResponse | None = None
    fault, status = "", 200
    try:
        with one_survey(visit):
            found = estimate(row, now=clock.now(), seconds=SECONDS)
    except CarillonError as error:
        fault, status = said(error), 429 if isinstance(error, Throttled) else 400
    context = {
        **shown_of_campaign(visit, row),
        "lines": words_of_campaign(row),
        "found": found,
        "survey": found.estimate if found else None,
        "fault": fault,
        "state": words.state(row.status),
    }
    return page(visit, "casting/estimate.html", context, section=SECTION, status=status)


def campaign_recipients(visit: Visit, number: int) -> HttpResponse:
    """Shows recipients by number of the person: all, those of a state or name, the holdout."""
    row = CampaignService().find(number, caller=visit.caller)
    statuses, path = (*COUNTED, HELD_OUT), f"{PATH}/{row.pk}/recipients"
    find, chosen = visit.given("find", longest=LONGEST_NAME), chosen_status(visit, statuses)
    fault, others = "", list[str]()
    found: Sequence[Any] = []
    if find:
        people, fault, notes = find_people_named(visit, find)
        sent = BroadcastRecipient.objects.filter(
            broadcast__campaign=row, recipient_id__in=people
        ).order_by("recipient_id")
        found = recipient_responses([each.pk for each in sent])
        others = [*notes, *_without(row, people, sent)]
    else:
        after = after_of(visit)
        found = recipients_of(row, status=chosen, after=after, limit=PAGE_ROWS + 1)
    rows, following = cut(list[Any](found), lambda each: each.user_id)
    uuids = notifications_of(
        BroadcastRecipient.objects.filter(
            broadcast__campaign=row, recipient_id__in=[each.user_id for each in rows]
        )
    )
    context = {
        **shown_of_campaign(visit, row),
        **recipients_shown(
            visit,
            [(each, uuids.get(each.user_id)) for each in rows],
            path=path,
            statuses=statuses,
            next_after=following,
            searched=Searched(find, fault, others),
        ),
    }
    status = 400 if fault else 200
    template = "casting/campaign_recipients.html"
    return page(visit, template, context, section=SECTION, status=status)


def _without(
    row: Campaign, people: Sequence[int], found: Iterable[BroadcastRecipient]
) -> list[str]:
    """Says of the people who are no recipients why they got nothing."""
    holdout = CampaignHoldout.objects.filter(campaign=row, user_id__in=people)
    held = list(holdout.values_list("user_id", flat=True))
    others = [each for each in people if each not in held]
    if row.started_at is None:
        why = _("%(name)s has got nothing: the campaign has not begun.")
    elif not row.placed_done:
        why = _("%(name)s is no recipient so far: the recipients are still being written.")
    elif is_forgotten(row.completed_at) or not row.broadcasts.exists():
        why = forgotten_words()
    else:
        why = _("%(name)s was not in the audience when the campaign began, so nothing was sent.")
    is_held = _("%(name)s is in the holdout: nothing is sent, so that the effect is measured.")
    return [*missing_in_words(held, (), is_held), *missing_in_words(others, found, why)]
