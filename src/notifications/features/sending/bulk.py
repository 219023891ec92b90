"""Bulk sends: up to 10,000 recipients in one call, by set-based statements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec
from django.db import transaction

from directory.audiences import list_of
from directory.models import User
from directory.references import PersonKey
from notifications.domain.callers import Caller
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.features.access.persons import keys_of
from notifications.features.access.service import missing_scope
from notifications.features.audiences.service import read_audience
from notifications.features.experiments.placing import Placings, load_placings
from notifications.features.sending.intents import (
    check_channels,
    check_scopes,
    make_intent,
    record_bypass,
    template_among,
)
from notifications.features.sending.schemas import BulkResponse, RejectionResponse
from notifications.infra import clock
from notifications.infra.database import commits
from notifications.intake.accept import AssignedVariant, Intent, SendTarget, accept
from notifications.intake.request import MAX_RECIPIENTS, BulkRequest, Recipient, Rejection
from notifications.intake.validate import parse_bulk
from notifications.models import Job
from notifications.models.delivery.hot_facts import load_for_bulks
from notifications.policy.options import LIST
from notifications.rendering.paths import candidates
from notifications.rendering.personalization import service_context
from notifications.rendering.render import CompiledVersion
from notifications.rendering.versions import version_of
from vault.cells import Key

SEND = "notifications:send"


def send_bulk(body: Mapping[str, Any], caller: Caller) -> BulkResponse:
    """See NotificationService.send_bulk."""
    now = clock.now()
    request = parse_bulk(body, now=now)
    check_scopes(request.terms, caller, address=False)
    path = request.terms.template_path
    keys = keys_of(each.user for each in request.recipients)
    templates, known = load_for_bulks(candidates(path), list(set(keys.values())))
    template = template_among(path, templates)
    check_channels(template, request.terms.channels)
    channels = {channel for each in request.recipients for channel in each.channels}
    intent = make_intent(request.terms, template, caller, channels=sorted(channels))
    people = {key: user_id for key, user_id in keys.items() if user_id in known}
    if request.audience is not None:
        request, list_id = _with_audience(request, request.audience, caller, now)
        intent = _to_list(intent, list_id)
        people = User.objects.ids_of(each.user for each in request.recipients)
    places = RecipientPlaces(load_placings([template], people.values()), intent, template.pk)
    plan = plan_bulk(request, intent, people, caller, now=now, keys=known, places=places)
    Job.objects.give_keys([plan.job])
    with transaction.atomic():
        commits.name_created(job_id=plan.job.uuid)
        if plan.targets:
            accept(intent, plan.targets, now=now, job=plan.job)
            record_bypass(intent, caller, target=f"job:{plan.job.uuid}")
        else:
            plan.job.save()
    return plan.response()


@dataclass(frozen=True, slots=True)
class RecipientPlaces:
    """The places of the recipients of a call in the test of its template, if there is one."""

    placings: Placings
    intent: Intent
    template_id: int

    def of(self, user_id: int, recipient: Recipient) -> AssignedVariant | None:
        """Returns the place of one recipient."""
        if not self.placings.tests:
            return None
        context = {**self.intent.terms.context, **recipient.context}
        return self.placings.assigned(
            self.intent, self.template_id, user_id, recipient.channels, context
        )


@dataclass(frozen=True, slots=True)
class BulkPlan:
    """What a bulk call makes: a job, which is not stored yet, and its targets."""

    intent: Intent
    job: Job
    targets: list[SendTarget]
    rejected: list[Rejection]

    def response(self) -> BulkResponse:
        """Returns the response to the call."""
        return BulkResponse(
            job_id=self.job.uuid,
            accepted=len(self.targets),
            rejected=[_rejection(each) for each in self.rejected],
            warnings=list(self.intent.terms.warnings),
        )


def plan_bulk(
    request: BulkRequest,
    intent: Intent,
    people: Mapping[PersonKey, int],
    caller: Caller,
    *,
    now: datetime,
    keys: Mapping[int, Key],
    places: RecipientPlaces,
) -> BulkPlan:
    """Returns what a bulk call makes.

    Args:
        people: the users who exist, by the key that names them.
        keys: data keys of users; `accept` loads those that are missing.
    """
    version = version_of(intent.template_version_id)
    check = _RecipientCheck(version, request.terms.context, people, caller, keys, places)
    targets = [target for target in map(check.target_of, request.recipients) if target]
    rejected = sorted([*request.rejected, *check.rejected], key=lambda each: each.index)
    job = Job(
        source=intent.source,
        actor=caller.name,
        context=request.terms.context or None,
        total=request.total,
        accepted=len(targets),
        rejected=[msgspec.to_builtins(each) for each in rejected],
        created_at=now,
    )
    return BulkPlan(intent, job, targets, rejected)


def _with_audience(
    request: BulkRequest, audience: dict[str, Any], caller: Caller, now: datetime
) -> tuple[BulkRequest, int | None]:
    """Returns the request with the users of an audience as its recipients, and their mailing list.

    Listed people who are missing are rejected and numbered from 0; the recipients follow them.

    Raises:
        InvalidRequest: with every fault of the audience; too_many_recipients.
        Refused: missing_scope.
    """
    if not caller.may(SEND):
        raise missing_scope(SEND)
    found = read_audience(audience, now=now)
    count = found.count() + len(found.missing)
    if count > MAX_RECIPIENTS:
        detail = (
            f"has {count:,} people, and a call accepts {MAX_RECIPIENTS:,}: use a broadcast,"
            " or divide the audience"
        )
        raise InvalidRequest([FieldError("audience", "too_many_recipients", detail)])
    rejected = [
        Rejection(index, each.reason, f"{each.path}: there is no active user {each.user}")
        for index, each in enumerate(found.missing)
    ]
    ids = islice((key for page in found.stream() for key in page), MAX_RECIPIENTS)
    recipients = [
        Recipient(index, key, request.terms.channels, {})
        for index, key in enumerate(ids, start=len(rejected))
    ]
    filled = replace(
        request,
        recipients=recipients,
        rejected=rejected,
        total=len(rejected) + len(recipients),
    )
    return filled, list_of(found.rule)


def _to_list(intent: Intent, list_id: int | None) -> Intent:
    """Returns the intent whose messages are decided for those alone who are on the list."""
    if list_id is None:
        return intent
    options = {**intent.terms.options, LIST: list_id}
    return replace(intent, terms=replace(intent.terms, options=options))


class _RecipientCheck:
    """Checks whether each recipient can be accepted."""

    def __init__(
        self,
        version: CompiledVersion,
        shared: Mapping[str, Any],
        people: Mapping[PersonKey, int],
        caller: Caller,
        keys: Mapping[int, Key],
        places: RecipientPlaces,
    ) -> None:
        self._keys = keys
        self._places = places
        self.rejected: list[Rejection] = []
        self._version = version
        self._people = people
        self._own_only = None if caller.may(SEND) else caller.user_id
        self._shared = {**shared, **service_context(at=clock.now())}
        self._shared_missing = version.missing_variables(self._shared)

    def target_of(self, recipient: Recipient) -> SendTarget | None:
        """Returns the target of a recipient, or None with the reason in `rejected`."""
        user_id = self._people.get(recipient.user)
        if user_id is None:
            return self._reject(recipient, "unknown_user", f"there is no user {recipient.user}")
        if self._own_only is not None and user_id != self._own_only:
            return self._reject(
                recipient, "missing_scope", "sending to others needs notifications:send"
            )
        unsupported = [c for c in recipient.channels if not self._version.supports(c)]
        if unsupported:
            return self._reject(
                recipient, "channel_not_in_template", f"no text for {unsupported[0]}"
            )
        if self._shared_missing:
            missing = self._version.missing_variables({**self._shared, **recipient.context})
            if missing:
                return self._reject(
                    recipient, "missing_variable", f"context lacks {', '.join(missing)}"
                )
        return SendTarget(
            user_id,
            recipient.channels,
            recipient.context or None,
            data_key=self._keys.get(user_id),
            assigned=self._places.of(user_id, recipient),
        )

    def _reject(self, recipient: Recipient, code: str, detail: str) -> SendTarget | None:
        self.rejected.append(Rejection(recipient.index, code, detail))
        return None


def _rejection(each: Rejection) -> RejectionResponse:
    return RejectionResponse(index=each.index, code=each.code, detail=each.detail)
