"""DeadLetterService: many dead letters at once, what a person knows of one, and the alert."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
import structlog
from django.db import transaction
from django.db.models import QuerySet

from directory.moments import check_moment
from notifications.domain.callers import Caller
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.domain.lifecycle import MessageStatus
from notifications.domain.status_events import DEAD_LETTERS_ALERT
from notifications.features.access.service import check_operator
from notifications.features.operations.service import OperationsService
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.models import (
    BroadcastNews,
    DeadLetter,
    NotificationMessage,
    OperatorAction,
    OperatorAlert,
    StatusEvent,
    TemplateVersion,
    change_status,
)
from notifications.queue import batches
from notifications.recording.fallback import fall_back_from

log = structlog.get_logger("carillon.dead_letters")

MOST = 10_000
"""Letters that one call works through; what is left is told."""

SETTLED_AS = {
    "sent": MessageStatus.SENT,
    "delivered": MessageStatus.DELIVERED,
    "failed": MessageStatus.FAILED,
}
_ALERT = "dead_letters"


class LetterFilter(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Which open letters are meant: those that have all that is given. failed_before is a time;
    without an offset it is UTC."""

    channel: str = ""
    provider: str = ""
    code: str = ""
    template_path: str = ""
    failed_before: datetime | None = None


class ManyResponse(msgspec.Struct, kw_only=True):
    """How many letters were worked on, and how many that match are left: call again for those."""

    done: int
    left: int


class SettleResponse(msgspec.Struct, kw_only=True):
    """How many messages took what a person knows of them; others were settled already."""

    settled: int


class DeadLetterService:
    """Dead letters by the thousand. Every change is written down with its actor."""

    def matching(self, wanted: LetterFilter) -> QuerySet[DeadLetter]:
        """The open letters that a filter means, the oldest first."""
        rows = DeadLetter.objects.filter(resolved_at__isnull=True).order_by("pk")
        given = {"channel": wanted.channel, "provider": wanted.provider, "code": wanted.code}
        rows = rows.filter(**{name: value for name, value in given.items() if value})
        if wanted.template_path:
            rows = of_template(rows, wanted.template_path)
        if wanted.failed_before is not None:
            rows = rows.filter(failed_at__lt=check_moment(wanted.failed_before))
        return rows

    def replay_matching(self, *, wanted: LetterFilter, caller: Caller) -> ManyResponse:
        """Sends up to MOST letters again, each on the template version it was accepted with, as
        batches of up to 500."""
        check_operator(caller)
        ids = list(self.matching(wanted).values_list("pk", flat=True)[:MOST])
        done = OperationsService().replay(ids=ids, caller=caller) if ids else 0
        return ManyResponse(done=done, left=self.matching(wanted).count())

    def discard_matching(
        self, *, wanted: LetterFilter, reason: str, caller: Caller
    ) -> ManyResponse:
        """Closes up to MOST letters for good."""
        check_operator(caller)
        ids = list(self.matching(wanted).values_list("pk", flat=True)[:MOST])
        done = OperationsService().discard(ids=ids, reason=reason, caller=caller)
        return ManyResponse(done=done, left=self.matching(wanted).count())

    def settle(
        self, *, ids: Sequence[int], outcome: str, reason: str, caller: Caller
    ) -> SettleResponse:
        """Writes down what a person found out of messages in doubt: sent, delivered or failed.

        One that failed falls back to its next channel, as by a receipt. A letter of a sure failure
        may still turn out as sent or delivered.

        Raises:
            InvalidRequest: no such outcome, or no reason.
        """
        check_operator(caller)
        _check_settling(outcome, reason)
        settled = sum(_settle(key, SETTLED_AS[outcome], reason, caller) for key in sorted(set(ids)))
        OperatorAction.objects.create(
            actor=caller.name,
            action=f"dead-letters.{outcome}",
            target=f"{settled} of {len(ids)}",
            reason=reason[:200],
            at=clock.now(),
        )
        return SettleResponse(settled=settled)


def of_template(rows: QuerySet[DeadLetter], path: str) -> QuerySet[DeadLetter]:
    """Those of a template, whichever of its versions."""
    versions = TemplateVersion.objects.filter(template__path=path).values("pk")
    return rows.filter(template_version_id__in=versions)


def _check_settling(outcome: str, reason: str) -> None:
    errors = []
    if outcome not in SETTLED_AS:
        detail = f"must be one of {', '.join(SETTLED_AS)}"
        errors.append(FieldError("outcome", "unknown_outcome", detail))
    if not reason.strip():
        errors.append(FieldError("reason", "required", "say how it is known"))
    if errors:
        raise InvalidRequest(errors)


def _settle(key: int, status: MessageStatus, reason: str, caller: Caller) -> bool:
    now = clock.now()
    with transaction.atomic():
        open_letters = DeadLetter.objects.select_for_update()
        letter = open_letters.filter(pk=key, resolved_at__isnull=True).first()
        if letter is None:
            return False
        message = NotificationMessage.objects.select_related("notification").get(
            pk=letter.message_id
        )
        batches.lock(message.batch_id)
        moved = change_status(
            [message.pk],
            status,
            reason=f"settled by {caller.name}",
            at=now,
            fields=_times(status, now),
        )
        if not moved:
            return False
        BroadcastNews.objects.tell([(message.notification.source, message.notification_id)])
        if status is MessageStatus.FAILED:
            fall_back_from(message, why=letter.code, at=now)
        letter.resolution, letter.resolution_reason = DeadLetter.Resolution.SETTLED, reason[:200]
        letter.resolved_by, letter.resolved_at = caller.name, now
        letter.save()
    return True


def _times(status: MessageStatus, now: datetime) -> dict[str, object]:
    if status is MessageStatus.FAILED:
        return {}
    fields: dict[str, object] = {"sent_at": now, "last_error": None}
    return fields | ({"delivered_at": now} if status is MessageStatus.DELIVERED else {})


def watch(*, now: datetime) -> str:
    """Raises the alert when more letters wait than CARILLON_DEAD_LETTERS_ALERT, once, and ends it
    when fewer do; returns `raised`, `ended` or nothing."""
    limit = environment().dead_letters_alert
    count = DeadLetter.objects.filter(resolved_at__isnull=True).count()
    with transaction.atomic():
        if count < limit:
            ended, _ = OperatorAlert.objects.filter(name=_ALERT).delete()
            if ended:
                log.info("dead-letters.alert-ended", count=count, limit=limit)
            return "ended" if ended else ""
        _, raised = OperatorAlert.objects.get_or_create(name=_ALERT, defaults={"raised_at": now})
        if not raised:
            return ""
        figures = f"{count}/{limit}"
        event = StatusEvent(message_id=0, kind=DEAD_LETTERS_ALERT, code=figures, at=now)
        StatusEvent.objects.write([event])
    log.critical("dead-letters.alert", count=count, limit=limit)
    return "raised"
