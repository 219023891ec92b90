"""A notification: one piece of information for one user on all channels; a row of the inbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from directory.keys import load_keys_of_people
from directory.models import AddressKey
from notifications.domain.channels import KIND_OF_ADDRESS
from notifications.domain.identifiers import public_id
from notifications.domain.lifecycle import REACHED, MessageStatus, best_status
from notifications.domain.messages import EXTRAS_KEY
from notifications.infra import clock
from notifications.models.content.category import Category
from notifications.models.fields import (
    AliasOfForeignKey,
    CellHead,
    PublicIdField,
    SealedJSONField,
)
from notifications.models.keys import reserve_keys
from vault.cells import Key


class ScheduledStatus(models.TextChoices):
    """The state of a scheduled notification. SCHEDULE_TRANSITIONS has the allowed changes."""

    PENDING = "pending", "Pending"
    SENT = "sent", "Sent"
    CANCELLED = "cancelled", "Cancelled"
    FAILED = "failed", "Failed"  # every channel failed for good
    WITHHELD = "withheld", "Withheld"  # suppressed by preferences or a limit, or expired


SCHEDULE_TRANSITIONS: dict[str, frozenset[str]] = {
    ScheduledStatus.PENDING: frozenset(ScheduledStatus.values),
    ScheduledStatus.FAILED: frozenset({ScheduledStatus.PENDING, ScheduledStatus.SENT}),
    ScheduledStatus.WITHHELD: frozenset({ScheduledStatus.SENT}),
    ScheduledStatus.SENT: frozenset(),
    ScheduledStatus.CANCELLED: frozenset(),
}
"""The allowed changes of a scheduled status.

A retry leads from failed to pending; a late receipt or another channel leads to sent. Pending may
be written again, with another time."""


def change_scheduled(keys: Sequence[int], target: ScheduledStatus, **fields: Any) -> int:
    """Moves scheduled notifications to a status where the table allows it; returns how many moved.

    It is the only writer of `scheduled_status` once the row exists. It makes one conditional UPDATE
    in the caller's transaction. fields: other columns to write with it.
    """
    allowed = [state for state, targets in SCHEDULE_TRANSITIONS.items() if target in targets]
    rows = Notification.objects.filter(pk__in=keys, scheduled_status__in=allowed)
    return rows.update(scheduled_status=target, **fields)


class Notification(models.Model):
    """One notification for one user or plain address.

    Foreign keys of hot tables have no database constraint: PostgreSQL would check each with a query
    for each row. `carillon doctor` and the invariant tests look for orphans instead (ADR 4).
    """

    id = models.BigIntegerField(primary_key=True)
    uuid = PublicIdField(editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,  # the row stays when its user is deleted
        null=True,
        db_index=False,  # the index of the inbox begins with this column
        db_constraint=False,
        related_name="notifications",
    )
    recipient = AliasOfForeignKey("user", settings.AUTH_USER_MODEL)  # a documented name
    address = SealedJSONField(null=True, blank=True)  # {"email": ...} for a send to no user
    category = models.ForeignKey(
        "notifications.Category", on_delete=models.PROTECT, db_index=False, db_constraint=False
    )
    template_version = models.ForeignKey(
        "notifications.TemplateVersion",
        on_delete=models.PROTECT,
        null=True,
        db_index=False,
        db_constraint=False,
    )
    job = models.ForeignKey(
        "notifications.Job",
        on_delete=models.SET_NULL,
        null=True,
        db_index=False,
        db_constraint=False,
        related_name="notifications",
    )
    type = models.CharField(max_length=50, default="system")
    priority = models.SmallIntegerField(default=3)
    source = models.CharField(max_length=60, default="service")
    locale = models.CharField(max_length=20, default="")
    text = SealedJSONField(null=True, blank=True)  # {"title", "message"} where no template is used
    context = SealedJSONField(null=True, blank=True)  # on top of the job's shared context
    options = models.JSONField(null=True, blank=True)
    scheduled_at = models.DateTimeField()
    # The hot path writes null for what is not scheduled; the default is for rows made by callers.
    scheduled_status = models.CharField(
        max_length=9, choices=ScheduledStatus.choices, null=True, default=ScheduledStatus.PENDING
    )
    cancelled_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    collapse_key = models.CharField(max_length=100, null=True)
    ordering_key = models.CharField(max_length=100, null=True)
    idempotency_key = models.CharField(max_length=200, null=True)
    correlation_id = models.CharField(max_length=64, null=True)
    ab_test_id = models.BigIntegerField(null=True)  # the test of its template, if one was in force
    variant = models.CharField(max_length=50, null=True)  # see domain/experiments/labels.py
    is_test = models.BooleanField(default=False)
    read_at = models.DateTimeField(null=True)
    archived_at = models.DateTimeField(null=True)
    snoozed_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["user", "created_at"], name="notification_inbox"),
            models.Index(
                fields=["user", "collapse_key"],
                condition=Q(collapse_key__isnull=False),
                name="notification_collapse",
            ),
            models.Index(
                fields=["user", "ordering_key"],
                condition=Q(ordering_key__isnull=False),
                name="notification_ordering",
            ),
            models.Index(
                fields=["correlation_id", "id"],
                condition=Q(correlation_id__isnull=False),
                name="notification_correlation",
            ),
            # Sends that are not scheduled are in neither index, so the indexes cost them nothing.
            models.Index(
                fields=["scheduled_at", "scheduled_status"],
                condition=Q(scheduled_status__isnull=False),
                name="notification_due",
            ),
            models.Index(
                fields=["user", "scheduled_status"],
                condition=Q(scheduled_status__isnull=False),
                name="notification_scheduled_for",
            ),
            models.Index(
                fields=["cancelled_at"],
                condition=Q(cancelled_at__isnull=False),
                name="notification_cancelled",
            ),
            # Finds out who was in a test before.
            models.Index(
                fields=["ab_test_id", "user"],
                condition=Q(ab_test_id__isnull=False),
                name="notification_ab_test",
            ),
            # Finds what was sent to an address without a user by the key of the address.
            models.Index(
                CellHead("address"),
                condition=Q(address__isnull=False),
                name="notification_address_key",
            ),
        ]

    def __str__(self) -> str:
        return f"notification {self.uuid}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Gives a new row its key, public id and category; hot inserts set their own."""
        if self.created_at is None:
            self.created_at = clock.now()
        if self.scheduled_at is None:
            self.scheduled_at = self.created_at
        if self.category_id is None:
            self.category_id = system_category()
        if self.pk is None:
            self.pk = reserve_keys(1)[0]
        if self.uuid is None:
            self.uuid = public_id(self.pk, clock.epoch_ms(self.created_at))
        super().save(*args, **kwargs)

    def cell_key(self) -> Key | None:
        """Returns the data key of its user or its address; hot inserts load theirs together."""
        if self.user_id is not None:
            return load_keys_of_people([self.user_id]).get(self.user_id)
        given = {KIND_OF_ADDRESS[name]: str(text) for name, text in (self.address or {}).items()}
        return AddressKey.objects.for_sends([given])[0] if given else None

    @property
    def status(self) -> MessageStatus:
        """The status of the best message."""
        statuses = [message.status for message in self.messages.all()]
        return best_status(statuses) if statuses else MessageStatus.PENDING

    def words(self) -> Mapping[str, Any]:
        """Returns title, message and data, its own or its job's; empty when it uses a template."""
        if self.template_version_id is not None:
            return {}
        found: Mapping[str, Any] = self.text or (self.job.context if self.job else None) or {}
        return found

    def _word(self, name: str) -> Any:
        return self.words().get(name)

    def _set_word(self, name: str, value: Any) -> None:
        self.text = {**(self.text or {}), name: value}

    @property
    def title(self) -> str:
        """The title; for a template, the template's name."""
        if self.template_version is not None:
            return self.template_version.template.name
        return str(self._word("title") or "")

    @title.setter
    def title(self, value: str) -> None:
        self._set_word("title", value)

    message = property(
        lambda self: str(self._word("message") or ""),
        lambda self, value: self._set_word("message", value),
    )

    @property
    def data(self) -> Mapping[str, Any]:
        """The data that is sent with the text."""
        if self.template_version_id is None:
            return self._word("data") or {}
        shared = self.job.context if self.job else None
        return {**(shared or {}), **(self.context or {})}.get(EXTRAS_KEY) or {}

    @data.setter
    def data(self, value: Mapping[str, Any]) -> None:
        self._set_word("data", value)

    @property
    def is_sent(self) -> bool:
        """Whether a channel has sent it, or its scheduled status is sent."""
        if self.scheduled_status not in (None, ScheduledStatus.PENDING):
            return self.scheduled_status == ScheduledStatus.SENT
        taken = REACHED | {MessageStatus.DIGESTED}
        return any(message.status in taken for message in self.messages.all())

    @property
    def sent_at(self) -> datetime | None:
        """When the first channel sent it; None before that."""
        times = [message.sent_at for message in self.messages.all() if message.sent_at]
        return min(times, default=None)

    @property
    def is_read(self) -> bool:
        return self.read_at is not None

    objects: ClassVar[models.Manager[Notification]] = models.Manager()


def system_category() -> int:
    """Returns the key of the category for notifications that name none."""
    return Category.objects.only("pk").get(key="system").pk
