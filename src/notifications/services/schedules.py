"""ScheduleService: texts that are sent at a time to come. One intake, one queue: a scheduled
notification is an ordinary one whose batch is due later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction

from notifications.domain.callers import Caller
from notifications.domain.channels import Priority
from notifications.domain.errors import Conflict, FieldError, InvalidRequest, NotFound
from notifications.domain.identifiers import parse_identifier
from notifications.domain.lifecycle import REACHED, UNSETTLED, MessageStatus
from notifications.infra import clock
from notifications.intake.accept import Intent, Target, accept
from notifications.intake.schedule import (
    ScheduleBody,
    ScheduleRequest,
    nobody_found,
    parse_schedule,
)
from notifications.models import Job, Notification, ScheduledStatus
from notifications.services.api_keys import missing_scope
from notifications.services.bulk import people_of
from notifications.services.cancelling import cancel_waiting
from notifications.services.intents import check_scopes
from notifications.services.schedule_answers import (
    CancelScheduledAnswer,
    ScheduledAnswer,
    ScheduleStatusAnswer,
)
from notifications.shared_rows import category_by_key

__all__ = ["ScheduleBody", "ScheduleService"]
log = structlog.get_logger("carillon.schedules")

SEND = "notifications:send"
READ = "notifications:read"
JOB_KIND = "schedule"
MAX_CALLS = 4  # the first and three retries, after 5, 10 and 20 minutes
_NO_CATEGORY = "system"


class ScheduleService:
    """Everything a caller can do with scheduled notifications."""

    def schedule(self, *, body: Mapping[str, Any], caller: Caller) -> ScheduledAnswer:
        """Takes in one notification a recipient, due at `scheduled_at`; all of them or none.

        Raises:
            InvalidRequest: with every error of the body; unknown_user when nobody exists.
            Refused: missing_scope, also for a person who writes to others.
        """
        now = clock.now()
        request = parse_schedule(body, now=now)
        check_scopes(request.terms, caller, address=False)
        people, unknown = find_people(request, caller)
        intent = intent_of(request, caller)
        with transaction.atomic():
            job = make_job(request, intent, total=len(people) + len(unknown), now=now)
            targets = [Target(person, request.terms.channels) for person in people]
            accepted = accept(intent, targets, now=now, job=job)
            job.accepted = len(people)
            job.first_key, job.last_key = min(accepted.message_keys), max(accepted.message_keys)
            job.save(update_fields=["accepted", "first_key", "last_key"])
        if unknown:
            log.warning("schedule.unknown_recipients", job=job.pk, count=len(unknown))
        return ScheduledAnswer(
            notification_ids=accepted.notification_keys,
            count=len(people),
            scheduled_at=request.scheduled_at,
            unknown=unknown,
        )

    def cancel(self, *, identifier: object, caller: Caller) -> CancelScheduledAnswer:
        """Takes a scheduled notification back; only while it is pending.

        Raises:
            NotFound: unknown_notification.
            InvalidRequest: not_pending, already_sending.
        """
        found = find_scheduled(identifier, caller)
        state = shown_status(found)
        if state != ScheduledStatus.PENDING:
            raise _cannot_cancel(f"Cannot cancel notification with status {state}", "not_pending")
        try:
            cancel_waiting(found, by=caller.name, now=clock.now())
        except Conflict as error:
            raise _cannot_cancel(error.detail, error.code) from error
        return CancelScheduledAnswer(
            success=True,
            message="Scheduled notification cancelled",
            id=found.pk,
            scheduled_status=ScheduledStatus.CANCELLED,
        )

    def status(self, *, identifier: object, caller: Caller) -> ScheduleStatusAnswer:
        """How far a scheduled notification has come.

        Raises:
            NotFound: unknown_notification.
        """
        found = find_scheduled(identifier, caller)
        state = shown_status(found)
        sent = [message.sent_at for message in found.messages.all() if message.sent_at]
        return ScheduleStatusAnswer(
            id=found.pk,
            title=str(text_of(found).get("title", "")),
            scheduled_at=found.scheduled_at,
            scheduled_status=state,
            is_sent=state == ScheduledStatus.SENT,
            sent_at=min(sent, default=None),
            created_at=found.created_at,
        )


def find_people(request: ScheduleRequest, caller: Caller) -> tuple[list[int], list[str]]:
    """The ids of those who exist, in the caller's order, each once; and who does not.

    Raises:
        Refused: missing_scope: a person may write to themselves only.
        InvalidRequest: unknown_user when nobody is left.
    """
    known = people_of(request.recipients)
    ids = [known.get(each) for each in request.recipients]
    if not caller.may(SEND) and any(person != caller.user_id for person in ids):
        raise missing_scope(SEND)
    unknown = [str(each) for each in request.recipients if each not in known]
    people = list(dict.fromkeys(person for person in ids if person is not None))
    if not people:
        raise nobody_found(unknown)
    return people, unknown


def intent_of(request: ScheduleRequest, caller: Caller) -> Intent:
    """What all recipients of a request share. A type that is a category's key is that category."""
    category = category_by_key(request.kind) or category_by_key(_NO_CATEGORY)
    assert category is not None, "the category system is seeded and cannot be deleted"
    return Intent(
        terms=replace(request.terms, category=category.key),
        priority=Priority(request.terms.priority or Priority.MEDIUM),
        category_id=category.id,
        category_key=category.key,
        template_version_id=None,
        source=caller.source,
        is_test=caller.is_test,
        type=request.kind,
        max_attempts=MAX_CALLS,
    )


def make_job(request: ScheduleRequest, intent: Intent, *, total: int, now: Any) -> Job:
    """The row that holds the text, once for all recipients."""
    return Job.objects.create(
        kind=JOB_KIND,
        source=intent.source,
        context=request.text,
        total=total,
        accepted=0,
        created_at=now,
    )


def find_scheduled(identifier: object, caller: Caller) -> Notification:
    """A scheduled notification that the caller may see: their own, those of their key, or any.

    Raises:
        NotFound: unknown_notification.
    """
    key = parse_identifier(identifier)
    rows = Notification.objects.select_related("job", "template_version__template")
    rows = rows.filter(scheduled_status__isnull=False).prefetch_related("messages")
    lookup = {"uuid" if isinstance(key, UUID) else "pk": key}
    found = rows.filter(**lookup).first() if key is not None else None
    if found is None or not _may_see(found, caller):
        raise NotFound(
            f"there is no scheduled notification {identifier}", code="unknown_notification"
        )
    return found


def _may_see(found: Notification, caller: Caller) -> bool:
    mine = caller.user_id is not None and found.user_id == caller.user_id
    ours = caller.is_service and found.source == caller.source
    return mine or ours or caller.may(READ)


def text_of(found: Notification) -> Mapping[str, Any]:
    """Title, message and data of a notification; of one with a template, its name for a title."""
    if found.template_version is not None:
        return {"title": found.template_version.template.name}
    text: Mapping[str, Any] = found.text or (found.job.context if found.job else None) or {}
    return text


def shown_status(found: Notification) -> str:
    """The scheduled status, where messages have been settled and nobody has written it down."""
    if found.scheduled_status != ScheduledStatus.PENDING:
        return str(found.scheduled_status)
    return folded_status([message.status for message in found.messages.all()])


def folded_status(statuses: Sequence[str]) -> str:
    """What the states of a notification's messages mean for its schedule."""
    found = {MessageStatus(status) for status in statuses}
    if found & (REACHED | {MessageStatus.DIGESTED}):
        return ScheduledStatus.SENT
    if not found or found & UNSETTLED:
        return ScheduledStatus.PENDING
    if MessageStatus.FAILED in found:
        return ScheduledStatus.FAILED
    withheld = found & {MessageStatus.SUPPRESSED, MessageStatus.EXPIRED}
    return ScheduledStatus.WITHHELD if withheld else ScheduledStatus.CANCELLED


def _cannot_cancel(detail: str, code: str) -> InvalidRequest:
    return InvalidRequest([FieldError("id", code, detail)], detail)
