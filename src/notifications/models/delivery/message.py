"""A message: one notification on one channel, the unit of delivery.

Only `change_status` and the hot statements write a status
(tests/architecture/test_single_writer.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.db import models, transaction

from notifications.domain.channels import ROW_CHANNELS, Channel, Priority
from notifications.domain.lifecycle import MessageStatus, sources_of
from notifications.domain.renamed_codes import current_code
from notifications.domain.status_events import KIND_OF
from notifications.infra import clock
from notifications.models.analytics.delta import MetricDelta, difference
from notifications.models.analytics.states import StoredState, counted_before, stored_states
from notifications.models.content.template import NotificationTemplate
from notifications.models.delivery.event import MessageEvent
from notifications.models.delivery.notification import Notification, system_category
from notifications.models.fields import MessageKeyField, SealedJSONField
from notifications.models.learning.hand_over import (
    LearningDelta,
    is_learning,
    stored_hand_overs,
)
from notifications.models.operations.status_webhook import StatusEvent
from vault.cells import Key


def choices_of(enum: type[Any]) -> list[tuple[Any, str]]:
    """Returns Django's choices for a domain enum."""
    return [(item.value, item.name.replace("_", " ").capitalize()) for item in enum]


class MessageManager(models.Manager["NotificationMessage"]):
    """Creates messages outside the hot path."""

    def create(self, **values: Any) -> NotificationMessage:
        """Creates a pending message, with its own notification when none is given.

        Accepts the documented fields (user, channel, title, body, data, priority, scheduled_at).
        It is in no batch until `NotificationDeliveryEngine` or `queue.batches.enqueue` adds it.
        """
        if "notification" in values or "notification_id" in values:
            return super().create(**values)
        with transaction.atomic(using=self.db):
            template = values.pop("template", None)
            notification = Notification(
                user=values.get("user"),
                category_id=values.pop("category_id", None) or system_category(),
                template_version_id=template.current_version_id if template else None,
                priority=values.get("priority", Priority.MEDIUM),
                text={"title": values.get("title", ""), "message": values.get("body", "")},
                scheduled_status=None,
            )
            if values.get("scheduled_at"):
                notification.scheduled_at = values["scheduled_at"]
            notification.save(using=self.db)
            return super().create(id=notification.pk, notification=notification, **values)


class NotificationMessage(models.Model):
    """One notification on one channel.

    No index covers status, batch or times, so every update of a row stays in place (a HOT update on
    PostgreSQL). Workers find messages through batches, never by scanning messages.
    """

    id = MessageKeyField(primary_key=True)
    notification = models.ForeignKey(
        Notification, on_delete=models.CASCADE, db_constraint=False, related_name="messages"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        null=True,
        db_index=False,
        db_constraint=False,
        related_name="+",
    )
    channel = models.CharField(max_length=10, choices=choices_of(Channel))
    priority = models.SmallIntegerField(choices=choices_of(Priority), default=3)
    status = models.CharField(
        max_length=10, choices=choices_of(MessageStatus), default=MessageStatus.PENDING
    )
    batch_id = models.BigIntegerField(null=True)
    scheduled_at = models.DateTimeField()
    attempts = models.SmallIntegerField(default=0)
    max_attempts = models.SmallIntegerField(default=3)
    last_error = models.TextField(null=True, blank=True)
    provider = models.CharField(max_length=30, null=True, blank=True)
    provider_message_id = models.CharField(max_length=200, null=True, blank=True)
    #: The text of a row channel, before the inbox had rows of its own. New texts are there.
    content = SealedJSONField(null=True, blank=True)
    trail = models.TextField(null=True, blank=True)  # decisions and results, see `history`
    sent_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[MessageManager] = MessageManager()

    def __str__(self) -> str:
        return f"message {self.pk} ({self.channel})"

    def cell_key(self) -> Key | None:
        """Returns the data key of its notification's user or address."""
        return self.notification.cell_key()

    def _part(self, name: str) -> Any:
        return self._shown().get(name, "")

    def _shown(self) -> Mapping[str, Any]:
        """Returns its text: its own, or that of the inbox, where it arrived."""
        if self.content or self.channel not in ROW_CHANNELS:
            return self.content or {}
        arrival = getattr(self.notification, "arrival", None)
        return (arrival.content if arrival else None) or {}

    def _set_part(self, name: str, value: Any) -> None:
        self.content = {**(self.content or {}), name: value}

    title = property(
        lambda self: self._part("title"), lambda self, value: self._set_part("title", value)
    )
    body = property(
        lambda self: self._part("body"), lambda self, value: self._set_part("body", value)
    )
    data = property(
        lambda self: self._part("data") or {}, lambda self, value: self._set_part("data", value)
    )

    @property
    def template(self) -> NotificationTemplate | None:
        """The template of its text; None for a message with its own text."""
        version = self.notification.template_version
        return version.template if version else None

    @property
    def created_at(self) -> datetime:
        return self.notification.created_at

    def history(self) -> list[dict[str, Any]]:
        """Returns all decisions and results, in order: the trail and the events."""
        entries = [
            {"at": at, "event": event, "reason": current_code(reason)}
            for at, event, reason in json.loads(f"[{self.trail or ''}]")
        ]
        entries += [event.as_entry() for event in MessageEvent.objects.filter(message_id=self.pk)]
        return sorted(entries, key=lambda entry: entry["at"])


def _write_delta(
    before: Mapping[int, StoredState],
    target: MessageStatus,
    fields: Mapping[str, Any],
    *,
    at: datetime,
) -> None:
    """Writes by how much the counts change when these messages change to `target`."""
    after = {key: state._replace(status=target.value) for key, state in before.items()}
    if fields.keys() & {"provider", "sent_at"}:  # they may be expressions
        after = stored_states(NotificationMessage.objects.filter(pk__in=list(before)))
    now = [state.as_counted(at) for state in after.values()]
    MetricDelta.objects.append(difference(counted_before(before, MessageEvent.objects.all()), now))


def count_report(key: int, name: str) -> None:
    """Counts what a person reported of a message, in the cohort of the message."""
    stored = stored_states(NotificationMessage.objects.filter(pk=key))
    (state,) = counted_before(stored, MessageEvent.objects.all())
    if state is not None:
        MetricDelta.objects.append(difference([], [state._replace(names=(name,))]))


def change_status(
    message_ids: Sequence[int],
    target: MessageStatus,
    *,
    reason: str,
    at: datetime | None = None,
    only_from: frozenset[MessageStatus] | None = None,
    fields: Mapping[str, Any] | None = None,
) -> list[int]:
    """Moves messages to `target` where the transition table allows it; returns those that moved.

    Makes one conditional UPDATE, writes an event for each message and what changes in the counts,
    in the caller's transaction.
    The caller holds the locks of the messages' batches, so no other writer interferes.
    """
    target = MessageStatus(target)
    allowed = sources_of(target) if only_from is None else sources_of(target) & only_from
    at, fields = at or clock.now(), fields or {}
    if target is MessageStatus.PENDING:  # what was sent before is not what is sent next
        fields = {"sent_at": None, "delivered_at": None, **fields}
    with transaction.atomic():
        rows = NotificationMessage.objects.filter(pk__in=message_ids, status__in=list(allowed))
        # Two receipts may come at once, when the batch is gone. Only one of them moves a message.
        locked = rows.select_for_update().order_by("pk").values_list("pk", flat=True)
        moved = list(locked)
        mine = NotificationMessage.objects.filter(pk__in=moved)
        before = stored_states(mine)
        handed = stored_hand_overs(mine) if is_learning() else None
        mine.update(status=target, **fields)
        _write_delta(before, target, fields, at=at)
        if handed is not None:
            LearningDelta.objects.append_difference(handed, stored_hand_overs(mine.all()))
        MessageEvent.objects.bulk_create(
            MessageEvent(message_id=pk, kind=target, reason=reason, at=at) for pk in moved
        )
        if moved and target in KIND_OF:
            StatusEvent.objects.write(
                StatusEvent(message_id=pk, kind=KIND_OF[target], code=reason, at=at) for pk in moved
            )
    return moved
