"""NotificationScheduler, a documented Python class over the same intake and queue as the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import structlog
from asgiref.sync import async_to_sync

from directory.models import User
from directory.moments import MomentOutOfRange, check_moment
from notifications.domain.callers import SYSTEM, Caller
from notifications.domain.errors import Conflict, InvalidRequest, NotFound
from notifications.domain.lifecycle import MessageStatus
from notifications.features.scheduling.rescheduling import due_notifications, reschedule
from notifications.features.scheduling.service import ScheduleService, find_scheduled, shown_status
from notifications.features.sending.deliver_now import NotificationDeliveryEngine
from notifications.infra import clock
from notifications.models import Notification, ScheduledStatus

log = structlog.get_logger("carillon.schedules")
PENDING_LIMIT = 100
RETRY_MINUTES = 10
Identifier = int | str | UUID


class CancelResult(dict[str, Any]):
    """The result of a cancellation: success, message, id, scheduled_status.

    It is true when the cancellation succeeded.
    """

    def __bool__(self) -> bool:
        return bool(self["success"])


class NotificationScheduler:
    """Schedules, cancels, sends and retries notifications, and reads their status.

    caller: on whose behalf it acts.
    """

    def __init__(self, *, caller: Caller = SYSTEM) -> None:
        self._caller = caller

    def schedule_notification(
        self,
        recipients: Sequence[User | Identifier],
        title: str,
        message: str,
        scheduled_at: datetime | str,
        notif_type: str = "system",
        priority: str | int = "normal",
        data: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> list[int]:
        """Schedules one notification for each recipient; returns their ids in that order.

        recipients: users, their ids or UUIDs; unknown ones are logged and skipped.
        scheduled_at: a time without a zone is UTC.
        more: channels and the other fields of the API's body.

        Raises:
            ValueError: the time is not in the future, there are no recipients, or a field is wrong.
        """
        body = {
            "recipients": [_identifier(each) for each in recipients],
            "title": title,
            "message": message,
            "scheduled_at": _moment_text(scheduled_at),
            "type": notif_type,
            "priority": priority,
            "data": dict(data or {}),
            **more,
        }
        try:
            response = ScheduleService().schedule(body=body, caller=self._caller)
        except InvalidRequest as error:
            raise ValueError(error.detail) from error
        return response.notification_ids

    def cancel_scheduled(self, notification_id: Identifier) -> CancelResult:
        """Cancels a pending notification.

        The result is true when that succeeded; otherwise its `message` says why not.
        """
        try:
            response = ScheduleService().cancel(identifier=notification_id, caller=self._caller)
        except (InvalidRequest, NotFound) as error:
            status = (self.get_schedule_status(notification_id) or {}).get("scheduled_status")
            return CancelResult(
                success=False, message=error.detail, id=notification_id, scheduled_status=status
            )
        return CancelResult(msgspec.structs.asdict(response))

    def get_pending_notifications(self, limit: int = PENDING_LIMIT) -> list[Notification]:
        """Returns notifications that are due and not sent yet, the oldest first."""
        rows = due_notifications(now=clock.now()).select_related("user")
        return list(rows[: max(0, limit)])

    def send_scheduled_notification(self, notification_id: Identifier) -> bool:
        """Sends a pending notification now and waits for the provider; True when it was sent.

        This makes one attempt. A worker retries a failed one after 5, 10 and 20 minutes. False
        where the notification is cancelled, already sent, suppressed, or in flight.
        """
        found = self._find(notification_id)
        if found is None or shown_status(found) != ScheduledStatus.PENDING:
            return False
        engine = NotificationDeliveryEngine()
        for message in found.messages.filter(status=MessageStatus.PENDING).order_by("id"):
            try:
                async_to_sync(engine.attempt_once)(message)
            except Conflict:
                log.info("schedule.in_flight", notification=found.pk, channel=message.channel)
        again = self._find(notification_id)
        return again is not None and shown_status(again) == ScheduledStatus.SENT

    def retry_failed(
        self, notification_id: Identifier, delay_minutes: float = RETRY_MINUTES
    ) -> bool:
        """Makes a failed or pending notification due in `delay_minutes`.

        False where it was sent or cancelled, or is in flight.

        Raises:
            ValueError: delay_minutes is no number, or the time is outside the accepted range.
        """
        found = self._find(notification_id)
        if found is None or found.scheduled_status in (
            ScheduledStatus.SENT,
            ScheduledStatus.CANCELLED,
        ):
            return False
        due_at = _in_minutes(delay_minutes)
        try:
            reschedule(found.pk, due_at=due_at, by=self._caller.name)
        except Conflict:
            return False
        return True

    def get_schedule_status(self, notification_id: Identifier) -> dict[str, Any] | None:
        """Returns id, title, scheduled_at, scheduled_status, is_sent, sent_at and created_at.

        None where the notification does not exist.
        """
        try:
            response = ScheduleService().status(identifier=notification_id, caller=self._caller)
        except NotFound:
            return None
        return msgspec.structs.asdict(response)

    def _find(self, identifier: Identifier) -> Notification | None:
        try:
            return find_scheduled(identifier, self._caller)
        except NotFound:
            log.warning("schedule.unknown", notification=str(identifier))
            return None


def _in_minutes(minutes: float) -> datetime:
    try:
        return check_moment(clock.now() + timedelta(minutes=minutes))
    except OverflowError as error:
        raise MomentOutOfRange from error


def _identifier(user: User | Identifier) -> int | str:
    if isinstance(user, User):
        return int(user.pk)
    return str(user) if isinstance(user, UUID) else user


def _moment_text(moment: datetime | str) -> str:
    """Returns the time as the API accepts it.

    Raises:
        ValueError: it is outside the accepted range.
    """
    return moment if isinstance(moment, str) else check_moment(moment).astimezone(UTC).isoformat()
