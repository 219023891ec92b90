"""DeadLetterService: replays, discards and resolves many dead letters, and raises their alert."""

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
from notifications.features.access.limits import allowed_keys
from notifications.features.access.service import check_operator
from notifications.features.operations.service import OperationsService, check_dead_letters
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.field_types import ProviderKey
from notifications.models import (
    BroadcastChange,
    DeadLetter,
    NotificationMessage,
    OperatorAlert,
    StatusEvent,
    TemplateVersion,
    change_status,
)
from notifications.models.audit.actions import record_action
from notifications.queue import batches
from notifications.recording.fallback import fall_back_from

log = structlog.get_logger("carillon.dead_letters")

MOST = 10_000
"""The most dead letters that one call handles; its response says how many are left."""

OUTCOMES = {
    "sent": MessageStatus.SENT,
    "delivered": MessageStatus.DELIVERED,
    "failed": MessageStatus.FAILED,
}
_ALERT = "dead_letters"


class DeadLetterFilter(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Which open dead letters are meant: those that match every given field."""

    channel: str = ""
    """Only this channel; empty for all. Example: `email`"""

    provider: ProviderKey = ""
    """Only this provider; empty for all. Example: `twilio`"""

    code: str = ""
    """Only this error code; empty for all. Example: `uncertain`"""

    template_path: str = ""
    """Only this template; empty for all. Example: `user.payment.success`"""

    failed_before: datetime | None = None
    """Only those that failed before this time (RFC 3339); a time without offset is UTC."""


class ManyResponse(msgspec.Struct, kw_only=True):
    """The result of working on many dead letters."""

    done: int
    """The number of dead letters that this call changed. Example: `10000`"""

    left: int
    """The number of matching dead letters that are left: call again for those. Example: `250`"""


class SettleResponse(msgspec.Struct, kw_only=True):
    """The result of settling messages by hand."""

    settled: int
    """The number of messages that got the given result; others had one already. Example: `12`"""


class DeadLetterService:
    """Changes many dead letters at once. Every change is logged with its actor."""

    def matching(self, wanted: DeadLetterFilter, caller: Caller) -> QuerySet[DeadLetter]:
        """Returns the open dead letters that match a filter, the oldest first.

        A member of staff in groups gets those of their categories alone.
        """
        rows = DeadLetter.objects.filter(resolved_at__isnull=True).order_by("pk")
        given = {"channel": wanted.channel, "provider": wanted.provider, "code": wanted.code}
        rows = rows.filter(**{name: value for name, value in given.items() if value})
        if wanted.template_path:
            rows = filter_by_template(rows, wanted.template_path)
        if wanted.failed_before is not None:
            rows = rows.filter(failed_at__lt=check_moment(wanted.failed_before))
        allowed = allowed_keys(caller)
        return rows if allowed is None else rows.filter(category__in=allowed)

    def replay_matching(self, *, wanted: DeadLetterFilter, caller: Caller) -> ManyResponse:
        """Sends up to MOST dead letters again, in batches of up to 500.

        Each uses the template version that it was accepted with.
        """
        check_operator(caller)
        ids = list(self.matching(wanted, caller).values_list("pk", flat=True)[:MOST])
        done = OperationsService().replay(ids=ids, caller=caller) if ids else 0
        return ManyResponse(done=done, left=self.matching(wanted, caller).count())

    def discard_matching(
        self, *, wanted: DeadLetterFilter, reason: str, caller: Caller
    ) -> ManyResponse:
        """Closes up to MOST dead letters for good."""
        check_operator(caller)
        ids = list(self.matching(wanted, caller).values_list("pk", flat=True)[:MOST])
        done = OperationsService().discard(ids=ids, reason=reason, caller=caller)
        return ManyResponse(done=done, left=self.matching(wanted, caller).count())

    def resolve(
        self, *, ids: Sequence[int], outcome: str, reason: str, caller: Caller
    ) -> SettleResponse:
        """Records what an operator found out about uncertain messages: sent, delivered or failed.

        A message that failed falls back to its next channel, as after a receipt. A message that
        failed for good can still be resolved as sent or delivered.

        Raises:
            InvalidRequest: unknown outcome, or no reason.
            Refused: missing_scope, category_not_allowed, test_key.
        """
        check_operator(caller)
        _check_outcome(outcome, reason)
        check_dead_letters(caller, ids)
        settled = sum(_resolve(key, OUTCOMES[outcome], reason, caller) for key in sorted(set(ids)))
        record_action(
            actor=caller.name,
            action=f"dead-letters.{outcome}",
            target=f"{settled} of {len(ids)}",
            reason=reason[:200],
            at=clock.now(),
        )
        return SettleResponse(settled=settled)


def filter_by_template(rows: QuerySet[DeadLetter], path: str) -> QuerySet[DeadLetter]:
    """Returns the rows of a template, of all its versions."""
    versions = TemplateVersion.objects.filter(template__path=path).values("pk")
    return rows.filter(template_version_id__in=versions)


def _check_outcome(outcome: str, reason: str) -> None:
    errors = []
    if outcome not in OUTCOMES:
        detail = f"must be one of {', '.join(OUTCOMES)}"
        errors.append(FieldError("outcome", "unknown_outcome", detail))
    if not reason.strip():
        errors.append(FieldError("reason", "required", "say how you know the outcome"))
    if errors:
        raise InvalidRequest(errors)


def _resolve(key: int, status: MessageStatus, reason: str, caller: Caller) -> bool:
    now = clock.now()
    with transaction.atomic():
        open_rows = DeadLetter.objects.select_for_update()
        dead_letter = open_rows.filter(pk=key, resolved_at__isnull=True).first()
        if dead_letter is None:
            return False
        message = NotificationMessage.objects.select_related("notification").get(
            pk=dead_letter.message_id
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
        BroadcastChange.objects.append([(message.notification.source, message.notification_id)])
        if status is MessageStatus.FAILED:
            fall_back_from(message, why=dead_letter.code, at=now)
        dead_letter.resolution, dead_letter.resolution_reason = (
            DeadLetter.Resolution.SETTLED,
            reason[:200],
        )
        dead_letter.resolved_by, dead_letter.resolved_at = caller.name, now
        dead_letter.save()
    return True


def _times(status: MessageStatus, now: datetime) -> dict[str, object]:
    if status is MessageStatus.FAILED:
        return {}
    fields: dict[str, object] = {"sent_at": now, "last_error": None}
    return fields | ({"delivered_at": now} if status is MessageStatus.DELIVERED else {})


def update_alert(*, now: datetime) -> str:
    """Raises the alert while CARILLON_DEAD_LETTER_ALERT_THRESHOLD or more dead letters are open.

    Returns `raised` when it begins, `ended` when it ends, else an empty text.
    """
    limit = environment().dead_letter_alert_threshold
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
