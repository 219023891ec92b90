"""ScheduleService: notifications that are sent at a later time.

They use the ordinary intake and queue: only their batch is due later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction

from directory.models import User
from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, FieldError, InvalidRequest, NotFound
from notifications.domain.identifiers import parse_identifier
from notifications.domain.lifecycle import REACHED, UNSETTLED, MessageStatus
from notifications.domain.timing import Timing
from notifications.domain.wall_clock import first_zone
from notifications.features.access.service import check_test_key, missing_scope
from notifications.features.scheduling.acceptance import DueGroup, accept_groups, build_intent
from notifications.features.scheduling.recurring import begin_series
from notifications.features.scheduling.schemas import (
    CancelScheduledResponse,
    ScheduledResponse,
    ScheduleStatusResponse,
)
from notifications.features.scheduling.zones import people_by_zone
from notifications.features.sending.cancel import cancel_waiting
from notifications.features.sending.intents import check_scopes
from notifications.infra import clock
from notifications.infra.database import commits
from notifications.intake.schedule import (
    ScheduleBody,
    ScheduleRequest,
    no_known_recipient,
    parse_schedule,
)
from notifications.models import Notification, ScheduledStatus
from notifications.models.audit.actions import record_change

__all__ = ["ScheduleBody", "ScheduleService"]
log = structlog.get_logger("carillon.schedules")

SEND = "notifications:send"
READ = "notifications:read"


class ScheduleService:
    """The calls on scheduled notifications."""

    def schedule(self, *, body: Mapping[str, Any], caller: Caller) -> ScheduledResponse:
        """Accepts one notification for each recipient, due at `scheduled_at`: all of them or none.

        With a recurrence these are the first occurrence; a periodic loop creates the others.

        Raises:
            InvalidRequest: with every error of the body; unknown_user, where no recipient exists;
                never_occurs.
            Refused: missing_scope, also for a person who sends to others.
        """
        now = clock.now()
        request = parse_schedule(body, now=now)
        check_scopes(request.terms, caller, address=False)
        people, unknown = find_people(request, caller)
        intent = build_intent(request.terms, request.kind, caller)
        total = len(people) + len(unknown)
        with transaction.atomic():
            if request.timing.rule is not None:
                series, keys, first = begin_series(request, intent, people, caller=caller, now=now)
                commits.name_created(schedule_id=series.uuid)
                record_change(
                    actor=caller.name,
                    action="schedule.created",
                    target=f"schedule:{series.uuid}",
                    at=now,
                    after={"recurrence": series.rule, "timezone": series.zone},
                )
                response = ScheduledResponse(
                    notification_ids=[], count=0, scheduled_at=first, schedule_id=series.uuid
                )
            else:
                dues, missed = _dues(request.timing, people, now=now)
                _, keys = accept_groups(intent, request.text, dues, total=total, now=now)
                commits.name_created(notification_id=min(keys.values()))
                first = min(due.at for due in dues)
                response = ScheduledResponse(
                    notification_ids=[], count=0, scheduled_at=first, missed=missed
                )
        if unknown:
            log.warning("schedule.unknown_recipients", count=len(unknown), of=total)
        response.notification_ids = [keys[person] for person in people if person in keys]
        response.count, response.unknown = len(response.notification_ids), unknown
        return response

    def cancel(self, *, identifier: object, caller: Caller) -> CancelScheduledResponse:
        """Cancels a scheduled notification; only while it is pending.

        Raises:
            NotFound: unknown_notification.
            InvalidRequest: not_pending, already_sending.
        """
        found = find_scheduled(identifier, caller)
        check_test_key(caller, is_test=found.is_test)
        state = shown_status(found)
        if state != ScheduledStatus.PENDING:
            raise _cannot_cancel(f"Cannot cancel notification with status {state}", "not_pending")
        try:
            with transaction.atomic():
                cancel_waiting(found, by=caller.name, now=clock.now(), only_if_nothing_sent=True)
                record_change(
                    actor=caller.name,
                    action="notification.cancelled",
                    target=f"notification:{found.uuid}",
                    at=clock.now(),
                )
        except Conflict as error:
            raise _cannot_cancel(error.detail, error.code) from error
        return CancelScheduledResponse(
            success=True,
            message="Scheduled notification cancelled",
            id=found.pk,
            scheduled_status=ScheduledStatus.CANCELLED,
        )

    def status(self, *, identifier: object, caller: Caller) -> ScheduleStatusResponse:
        """Returns how far a scheduled notification has come.

        Raises:
            NotFound: unknown_notification.
        """
        return build_status_response(find_scheduled(identifier, caller))


def build_status_response(found: Notification) -> ScheduleStatusResponse:
    """Returns how far a scheduled notification has come."""
    state = shown_status(found)
    return ScheduleStatusResponse(
        id=found.pk,
        title=found.title,
        scheduled_at=found.scheduled_at,
        scheduled_status=state,
        is_sent=state == ScheduledStatus.SENT,
        sent_at=found.sent_at,
        created_at=found.created_at,
    )


def find_people(request: ScheduleRequest, caller: Caller) -> tuple[list[int], list[str]]:
    """Returns the ids of existing recipients, each once in their order, and the unknown ones.

    Raises:
        Refused: missing_scope, where a person sends to others.
        InvalidRequest: unknown_user, where no recipient exists.
    """
    known = User.objects.ids_of(request.recipients)
    ids = [known.get(each) for each in request.recipients]
    if not caller.may(SEND) and any(person != caller.user_id for person in ids):
        raise missing_scope(SEND)
    unknown = [str(each) for each in request.recipients if each not in known]
    people = list(dict.fromkeys(person for person in ids if person is not None))
    if not people:
        raise no_known_recipient(unknown)
    return people, unknown


def _dues(
    timing: Timing, people: Sequence[int], *, now: datetime
) -> tuple[list[DueGroup], list[int]]:
    """Returns the groups by due time, and the ids of people for whom it is too late.

    Raises:
        InvalidRequest: in_the_past, where the time has passed for all.
    """
    if not timing.by_zone:
        at = timing.first_in(UTC).at
        return [DueGroup(at, people, timing.expires_at(at))], []
    by_time: dict[datetime, list[int]] = {}
    for name, members in people_by_zone(people).items():
        by_time.setdefault(timing.first_in(first_zone(name)[0]).at, []).extend(members)
    if max(by_time) <= now:
        detail = "this local time has passed for all recipients"
        raise InvalidRequest([FieldError("scheduled_at", "in_the_past", detail)])
    dues = [DueGroup(at, some, timing.expires_at(at)) for at, some in sorted(by_time.items())]
    open_ = [due for due in dues if due.expires_at is None or due.expires_at > now]
    gone = [person for due in dues if due not in open_ for person in due.people]
    return open_, gone


def find_scheduled(identifier: object, caller: Caller) -> Notification:
    """Returns a scheduled notification that the caller may see: its own, its key's, or any.

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


def shown_status(found: Notification) -> str:
    """Returns the stored status; where that is pending, the status that its messages imply."""
    if found.scheduled_status != ScheduledStatus.PENDING:
        return str(found.scheduled_status)
    return status_of_messages([message.status for message in found.messages.all()])


def status_of_messages(statuses: Sequence[str]) -> str:
    """Derives a scheduled status from the statuses of the notification's messages."""
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
