"""Accepts short bulk calls in groups: one set of rows for the jobs of many callers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog

from directory.references import PersonKey
from notifications.features.access.persons import keys_of
from notifications.features.experiments.placing import Placings, load_placings
from notifications.features.sending.bulk import BulkPlan, RecipientPlaces, plan_bulk
from notifications.features.sending.groups.accept import GroupRequest, each_alone
from notifications.features.sending.intents import check_channels, check_scopes, make_intent
from notifications.features.templates.service import serving_among
from notifications.intake.accept import accept_jobs
from notifications.intake.request import BulkRequest
from notifications.intake.validate import parse_bulk
from notifications.models import Job, NotificationTemplate
from notifications.models.delivery.hot_facts import load_for_bulks
from notifications.rendering.paths import candidates
from vault.cells import Key

MOST_RECIPIENTS = 20
"""A longer call is served alone, so that no other request of a group waits for it."""


class BulkWork:
    """Accepts short bulk calls."""

    status = 202

    def prepare(self, requests: Sequence[GroupRequest], *, now: datetime) -> dict[int, BulkPlan]:
        """See GroupWork."""
        parsed = each_alone(enumerate(requests), lambda each: _parsed(each, now=now))
        if not parsed:
            return {}
        keys = keys_of(r.user for each in parsed.values() for r in each.recipients)
        paths = {p for each in parsed.values() for p in candidates(each.terms.template_path)}
        heads, known = load_for_bulks(sorted(paths), sorted(set(keys.values())))
        people = {key: user_id for key, user_id in keys.items() if user_id in known}
        placings = load_placings(heads.values(), sorted(set(people.values())))
        plans = each_alone(
            ((at, (requests[at], each)) for at, each in parsed.items()),
            lambda pair: _plan(*pair, heads, people, known, placings, now=now),
        )
        Job.objects.give_keys(plan.job for plan in plans.values())
        return plans

    def write(
        self, items: Sequence[BulkPlan], *, now: datetime
    ) -> list[tuple[dict[str, str], Any]]:
        """See GroupWork."""
        accept_jobs([(item.intent, item.targets, item.job) for item in items], now=now)
        return [({"job_id": str(item.job.uuid)}, item.response()) for item in items]


def _parsed(bulk: GroupRequest, *, now: datetime) -> BulkRequest | None:
    listed = bulk.body.get("recipients")
    if not isinstance(listed, list) or len(listed) > MOST_RECIPIENTS:
        return None
    request = parse_bulk(bulk.body, now=now)
    terms = request.terms
    # An audience, a file and a bypass each read or write rows that other calls do not.
    if request.audience is not None or terms.attachments or terms.options.get("bypass_preferences"):
        return None
    check_scopes(terms, bulk.caller, address=False)
    return request


def _plan(
    bulk: GroupRequest,
    request: BulkRequest,
    heads: Mapping[str, NotificationTemplate],
    people: Mapping[PersonKey, int],
    data_keys: Mapping[int, Key],
    placings: Placings,
    *,
    now: datetime,
) -> BulkPlan | None:
    """Returns what the call makes; None where it must be served alone."""
    terms = request.terms
    template = serving_among(terms.template_path, heads)
    if template is None:
        return None
    check_channels(template, terms.channels)
    channels = {channel for each in request.recipients for channel in each.channels}
    with structlog.contextvars.bound_contextvars(request_id=bulk.request_id):
        intent = make_intent(terms, template, bulk.caller, channels=sorted(channels))
    places = RecipientPlaces(placings, intent, template.pk)
    plan = plan_bulk(request, intent, people, bulk.caller, now=now, keys=data_keys, places=places)
    return plan if plan.targets else None
