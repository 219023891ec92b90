"""Accepts short bulk calls in groups: one set of rows for the jobs of many callers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from directory.references import PersonKey
from notifications.features.access.persons import keys_of
from notifications.features.sending.bulk import RecipientCheck, job_of, rejection_response
from notifications.features.sending.groups.accept import GroupRequest, each_alone
from notifications.features.sending.intents import check_channels, check_scopes, make_intent
from notifications.features.sending.schemas import BulkResponse
from notifications.features.templates.service import serving_among
from notifications.intake.accept import Intent, SendTarget, accept_jobs
from notifications.intake.request import BulkRequest, Rejection
from notifications.intake.validate import parse_bulk
from notifications.models import Job, NotificationTemplate
from notifications.models.delivery.hot_facts import load_for_bulks
from notifications.rendering.paths import candidates
from notifications.rendering.versions import version_of

MOST_RECIPIENTS = 20
"""A longer call is served alone, so that no other request of a group waits for it."""


@dataclass(slots=True)
class _Item:
    """A bulk call on its way through the group."""

    intent: Intent
    targets: list[SendTarget]
    rejected: list[Rejection]
    job: Job


class BulkWork:
    """Accepts short bulk calls."""

    status = 202

    def prepare(self, requests: Sequence[GroupRequest], *, now: datetime) -> dict[int, _Item]:
        """See GroupWork."""
        parsed = each_alone(enumerate(requests), lambda each: _parsed(each, now=now))
        if not parsed:
            return {}
        keys = keys_of(r.user for each in parsed.values() for r in each.recipients)
        paths = {p for each in parsed.values() for p in candidates(each.terms.template_path)}
        rows, known = load_for_bulks(sorted(paths), sorted(set(keys.values())))
        heads = {row.path: row for row in NotificationTemplate.objects.heads_of(rows)}
        people = {key: user_id for key, user_id in keys.items() if user_id in known}
        return each_alone(
            ((at, (requests[at], each)) for at, each in parsed.items()),
            lambda pair: _item(*pair, heads, people, now=now),
        )

    def write(self, items: Sequence[_Item], *, now: datetime) -> list[tuple[dict[str, str], Any]]:
        """See GroupWork."""
        accept_jobs([(item.intent, item.targets, item.job) for item in items], now=now)
        return [({"job_id": str(item.job.uuid)}, _response(item)) for item in items]


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


def _item(
    bulk: GroupRequest,
    request: BulkRequest,
    heads: Mapping[str, NotificationTemplate],
    people: Mapping[PersonKey, int],
    *,
    now: datetime,
) -> _Item | None:
    """Returns the call's targets and job; None where it must be served alone."""
    terms = request.terms
    template = serving_among(terms.template_path, heads)
    if template is None:
        return None
    check_channels(template, terms.channels)
    channels = {channel for each in request.recipients for channel in each.channels}
    with structlog.contextvars.bound_contextvars(request_id=bulk.request_id):
        intent = make_intent(terms, template, bulk.caller, channels=sorted(channels))
    version = version_of(template.current_version_id)
    check = RecipientCheck(version, terms.context, people, bulk.caller)
    targets = [target for target in map(check.target_of, request.recipients) if target]
    if not targets:
        return None
    rejected = sorted([*request.rejected, *check.rejected], key=lambda each: each.index)
    job = job_of(request, intent, bulk.caller, accepted=len(targets), rejected=rejected, now=now)
    return _Item(intent, targets, rejected, job)


def _response(item: _Item) -> BulkResponse:
    return BulkResponse(
        job_id=item.job.uuid,
        accepted=len(item.targets),
        rejected=[rejection_response(each) for each in item.rejected],
        warnings=list(item.intent.terms.warnings),
    )
