"""A broadcast: one message from an admin to an audience, and its recipients.

`change_broadcast_status` is the only writer of a broadcast's status after it was made.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any, ClassVar

from django.conf import settings
from django.core.validators import MaxLengthValidator
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from notifications.domain.broadcast_lifecycle import (
    BroadcastStatus,
    RecipientState,
    Tally,
    sources_of,
)
from notifications.models.fields import EMPTY_LIST

MAX_MESSAGE = 1_000


class BroadcastTarget(models.TextChoices):
    """Whom a broadcast is meant for: the rules of docs/audiences.md, and their compositions."""

    ALL = "all", pgettext_lazy("broadcast", "Everyone")
    ALL_STUDENTS = "all_students", pgettext_lazy("broadcast", "All students")
    ALL_TEACHERS = "all_teachers", pgettext_lazy("broadcast", "All teachers")
    ALL_TUTORS = "all_tutors", pgettext_lazy("broadcast", "All tutors")
    ALL_PARENTS = "all_parents", pgettext_lazy("broadcast", "All parents")
    BY_SUBJECT = "by_subject", pgettext_lazy("broadcast", "By subject")
    BY_TUTOR = "by_tutor", pgettext_lazy("broadcast", "By tutor")
    BY_TEACHER = "by_teacher", pgettext_lazy("broadcast", "By teacher")
    GROUP = "group", pgettext_lazy("broadcast", "Group")
    SEGMENT = "segment", pgettext_lazy("broadcast", "Segment")
    CUSTOM = "custom", pgettext_lazy("broadcast", "Custom list")
    COMPOSED = "composed", pgettext_lazy("broadcast", "Several groups")


class BroadcastState(models.TextChoices):
    """Where a broadcast is; the law is domain/broadcast_lifecycle.py."""

    DRAFT = BroadcastStatus.DRAFT.value, pgettext_lazy("broadcast", "Draft")
    AWAITING_APPROVAL = (
        BroadcastStatus.AWAITING_APPROVAL.value,
        pgettext_lazy("broadcast", "Awaiting approval"),
    )
    SCHEDULED = BroadcastStatus.SCHEDULED.value, pgettext_lazy("broadcast", "Scheduled")
    SENDING = BroadcastStatus.SENDING.value, pgettext_lazy("broadcast", "Sending")
    PAUSED = BroadcastStatus.PAUSED.value, pgettext_lazy("broadcast", "Paused")
    SENT = BroadcastStatus.SENT.value, pgettext_lazy("broadcast", "Sent")
    COMPLETED = BroadcastStatus.COMPLETED.value, pgettext_lazy("broadcast", "Completed")
    FAILED = BroadcastStatus.FAILED.value, pgettext_lazy("broadcast", "Failed")
    CANCELLED = BroadcastStatus.CANCELLED.value, pgettext_lazy("broadcast", "Cancelled")


class BroadcastDelivery(models.TextChoices):
    """Which of the channels carry it."""

    ALL = "all", pgettext_lazy("broadcast", "Every channel")
    FIRST = "first", pgettext_lazy("broadcast", "In order, until one takes it")


def default_channels() -> list[str]:
    return ["telegram"]


class Broadcast(models.Model):
    """One message to many.

    sent_at is when sending began: relative dates of the audience count from it, whenever a launch
    goes on after a crash. snapshot_after and messaged_after are how far the launch has come: the
    last recipient that was written, and the last that has messages; the *_done flags end each.
    requeue_after is the same for a retry; cleared is False while a cancellation still takes back
    what waits. handed_over_at is when nothing was pending any more. error_reasons counts failed
    recipients by reason; miscounted is by how much the last reconciliation found the counters off.
    pace holds a few moments of the last minute: [epoch seconds, recipients settled by then].
    """

    TargetGroup = BroadcastTarget
    Status = BroadcastState
    Delivery = BroadcastDelivery

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        db_index=False,  # the documented index begins with it
        related_name="broadcasts",
    )
    target_group = models.CharField(max_length=20, choices=BroadcastTarget.choices)
    target_filter = models.JSONField(default=dict, blank=True)
    title = models.CharField(max_length=200, blank=True)
    message = models.TextField(validators=[MaxLengthValidator(MAX_MESSAGE)])
    priority = models.SmallIntegerField(default=3)
    category = models.CharField(max_length=50, default="announcement")
    channels = models.JSONField(default=default_channels)
    delivery = models.CharField(
        max_length=5, choices=BroadcastDelivery.choices, default=BroadcastDelivery.ALL
    )
    recipient_count = models.IntegerField(default=0)
    #: How many people the audience held when the broadcast was launched.
    meant_count = models.IntegerField(default=0)
    sent_count = models.IntegerField(default=0)
    failed_count = models.IntegerField(default=0)
    suppressed_count = models.IntegerField(default=0)
    uncertain_count = models.IntegerField(default=0)
    cancelled_count = models.IntegerField(default=0)
    error_log = models.JSONField(
        default=list,
        blank=True,
        verbose_name=_("Log of sending errors"),
        help_text=_("The latest errors by recipient: {recipient_id, error, timestamp}"),
    )
    error_total = models.IntegerField(default=0)
    error_reasons = models.JSONField(default=dict, blank=True)
    status = models.CharField(
        max_length=17, choices=BroadcastState.choices, default=BroadcastState.DRAFT
    )
    scheduled_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    job = models.OneToOneField(
        "notifications.Job",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="broadcast",
    )
    is_test = models.BooleanField(default=False)
    snapshot_after = models.BigIntegerField(default=0)
    snapshot_done = models.BooleanField(default=False)
    messaged_after = models.BigIntegerField(default=0)
    messaged_done = models.BooleanField(default=False)
    launch_moved_at = models.DateTimeField(null=True, blank=True)
    requeue_after = models.BigIntegerField(default=0)
    requeue_done = models.BooleanField(default=True)
    cleared = models.BooleanField(default=True)
    handed_over_at = models.DateTimeField(null=True, blank=True)
    miscounted = models.IntegerField(default=0)
    pace = models.JSONField(default=list, blank=True)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
    )
    hands = models.JSONField(default=list, db_default=EMPTY_LIST, blank=True)
    """The ids of all who wrote, changed or sent it, or hold the key that did: none may approve."""
    approved_count = models.PositiveIntegerField(null=True, blank=True)
    """How many recipients there were when it was approved; None for what was approved before this
    was kept."""
    review_note = models.TextField(blank=True)

    class Meta:
        verbose_name = _("Broadcast")
        verbose_name_plural = _("Broadcasts")
        indexes = [
            models.Index(fields=["created_by", "-created_at"], name="broadcast_by_author"),
            models.Index(fields=["status", "scheduled_at"], name="broadcast_due"),
            models.Index(fields=["-created_at", "-id"], name="broadcast_newest"),
            models.Index(fields=["target_group", "-created_at", "-id"], name="broadcast_of_group"),
            models.Index(
                fields=["id"],
                condition=models.Q(status="paused") | models.Q(cleared=False, status="cancelled"),
                name="broadcast_halted",
            ),
        ]

    def __str__(self) -> str:
        return f"broadcast {self.pk} ({self.status})"

    @property
    def source(self) -> str:
        """What workers are fair among, and what a stop of this broadcast alone names."""
        return f"broadcast:{self.pk}"

    @property
    def tally(self) -> Tally:
        """The served counters. While the recipients are being written down, those who are still to
        be counted are pending; where that was cancelled, they are cancelled."""
        total, cancelled = self.recipient_count, self.cancelled_count
        if self.job_id is not None and not self.snapshot_done:
            total = max(total, self.meant_count)
            if self.status == BroadcastStatus.CANCELLED:
                cancelled += total - self.recipient_count
        return Tally(
            total=total,
            sent=self.sent_count,
            failed=self.failed_count,
            suppressed=self.suppressed_count,
            uncertain=self.uncertain_count,
            cancelled=cancelled,
        )


class BroadcastRecipientManager(models.Manager["BroadcastRecipient"]):
    """Makes rows by hand."""

    def bulk_create(
        self, objs: Iterable[BroadcastRecipient], *args: Any, **kwargs: Any
    ) -> list[BroadcastRecipient]:
        """As ever; rows say by the documented fields what became of the person."""
        rows = list(objs)
        for row in rows:
            row.read_documented_fields()
        return super().bulk_create(rows, *args, **kwargs)


class BroadcastRecipient(models.Model):
    """One person of a broadcast's snapshot.

    notification_id is reserved when the row is written, so that making the messages updates no row.
    state is the one that the broadcast's counters count; channel_states says which message status
    each channel has. error is why they failed or were suppressed, on whatever channel; requeue that
    a retry is under way. Foreign keys carry no database constraint, as in all hot tables (ADR 4).
    """

    State = RecipientState

    broadcast = models.ForeignKey(
        Broadcast,
        on_delete=models.CASCADE,
        db_index=False,
        db_constraint=False,
        related_name="recipients",
    )
    recipient = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,  # who was meant stays a fact when the person is gone
        db_index=False,
        db_constraint=False,
        related_name="broadcast_receipts",
    )
    notification_id = models.BigIntegerField(null=True, blank=True)
    state = models.CharField(
        max_length=10,
        choices=[(state.value, state.name.capitalize()) for state in RecipientState],
        default=RecipientState.PENDING.value,
    )
    channel_states = models.JSONField(null=True, blank=True)
    telegram_sent = models.BooleanField(default=False)
    telegram_message_id = models.CharField(max_length=100, null=True, blank=True)
    telegram_error = models.TextField(null=True, blank=True)
    error = models.TextField(null=True, blank=True)
    requeue = models.BooleanField(default=False)
    retries = models.SmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[BroadcastRecipientManager] = BroadcastRecipientManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["broadcast", "recipient"], name="broadcast_recipient_once"
            )
        ]
        indexes = [
            # Not of all rows: until statistics know of a broadcast, PostgreSQL could take this for
            # as good a way to one recipient as broadcast_recipient_once, and read all of them.
            models.Index(
                fields=["broadcast", "telegram_sent"],
                condition=models.Q(telegram_sent=True),
                name="broadcast_recipient_sent",
            ),
            models.Index(fields=["recipient", "broadcast"], name="broadcast_recipient_person"),
            models.Index(
                fields=["broadcast", "state", "recipient"],
                condition=~models.Q(state=RecipientState.PENDING.value),  # nothing on insertion
                name="broadcast_recipient_state",
            ),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Saves; a row that is new says by the documented fields what became of the person."""
        if self._state.adding:
            self.read_documented_fields()
        super().save(*args, **kwargs)

    def read_documented_fields(self) -> None:
        """Sets the state of a row that is made by hand from telegram_sent and telegram_error."""
        if self.state == RecipientState.PENDING and self.telegram_sent:
            self.state = RecipientState.SENT.value
        elif self.state == RecipientState.PENDING and self.telegram_error:
            self.state = RecipientState.FAILED.value
            self.error = self.telegram_error

    def __str__(self) -> str:
        return f"recipient {self.recipient_id} of broadcast {self.broadcast_id}"


def change_broadcast_status(
    broadcast_id: int,
    target: BroadcastStatus,
    *,
    values: dict[str, Any] | None = None,
    only_from: frozenset[BroadcastStatus] | None = None,
) -> bool:
    """Moves a broadcast to `target` where the table allows it; False where it does not (any more).

    One conditional UPDATE, which writes `values` with it. The caller is in a transaction.
    """
    allowed = sources_of(target) if only_from is None else sources_of(target) & only_from
    rows = Broadcast.objects.filter(pk=broadcast_id, status__in=list(allowed))
    return rows.update(status=BroadcastStatus(target).value, **(values or {})) == 1
