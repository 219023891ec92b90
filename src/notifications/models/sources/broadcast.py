"""A broadcast, one message from an administrator to an audience, and its recipients.

Only `change_broadcast_status` changes the status of an existing broadcast.
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
    RecipientCounts,
    RecipientState,
    sources_of,
)
from notifications.models.fields import EMPTY_LIST, EMPTY_OBJECT

MAX_MESSAGE = 1_000


class BroadcastTarget(models.TextChoices):
    """The audience of a broadcast: the rules of docs/audiences.md, and their compositions."""

    ALL = "all", pgettext_lazy("broadcast", "Everyone")
    ALL_STUDENTS = "all_students", pgettext_lazy("broadcast", "All students")
    ALL_TEACHERS = "all_teachers", pgettext_lazy("broadcast", "All teachers")
    ALL_TUTORS = "all_tutors", pgettext_lazy("broadcast", "All tutors")
    ALL_PARENTS = "all_parents", pgettext_lazy("broadcast", "All parents")
    BY_SUBJECT = "by_subject", pgettext_lazy("broadcast", "By subject")
    BY_TUTOR = "by_tutor", pgettext_lazy("broadcast", "By tutor")
    BY_TEACHER = "by_teacher", pgettext_lazy("broadcast", "By teacher")
    GROUP = "group", pgettext_lazy("broadcast", "Group")
    LIST = "list", pgettext_lazy("broadcast", "Mailing list")
    SEGMENT = "segment", pgettext_lazy("broadcast", "Segment")
    CUSTOM = "custom", pgettext_lazy("broadcast", "Custom list")
    COMPOSED = "composed", pgettext_lazy("broadcast", "Several groups")


class BroadcastState(models.TextChoices):
    """How far a broadcast has come; domain/broadcast_lifecycle.py holds the transitions."""

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
    """Which of the channels carry a broadcast."""

    ALL = "all", pgettext_lazy("broadcast", "Every channel")
    FIRST = "first", pgettext_lazy("broadcast", "In order, until one takes it")


def default_channels() -> list[str]:
    return ["telegram"]


class Broadcast(models.Model):
    """One message from an administrator to an audience."""

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
    #: The id of the mailing list to which all its recipients are subscribed; None without one.
    list_id = models.BigIntegerField(null=True, editable=False)
    #: The list's archive shows it: it went to a whole public list that had an archive.
    in_archive = models.BooleanField(default=False, db_default=False, editable=False)
    delivery = models.CharField(
        max_length=5, choices=BroadcastDelivery.choices, default=BroadcastDelivery.ALL
    )
    #: The campaign that sends by it; None for a broadcast of its own.
    campaign = models.ForeignKey(
        "notifications.Campaign",
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="broadcasts",
    )
    #: Which people of the campaign it goes to, see `CampaignPart`.
    part = models.CharField(max_length=4, blank=True, default="", db_default="", editable=False)
    #: The version of the template that it shows; None: its own title and message.
    template_version_id = models.BigIntegerField(null=True, editable=False)
    #: Options of its messages (policy/options.py), such as `track_clicks`.
    options = models.JSONField(default=dict, db_default=EMPTY_OBJECT, editable=False)
    #: The most recipients a minute; None for no limit of its own.
    per_minute = models.IntegerField(null=True, editable=False)
    #: Until when no further messages are created, because of per_minute.
    throttled_until = models.DateTimeField(null=True, editable=False)
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
    #: How many recipients failed, by reason.
    error_reasons = models.JSONField(default=dict, blank=True)
    status = models.CharField(
        max_length=17, choices=BroadcastState.choices, default=BroadcastState.DRAFT
    )
    scheduled_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    #: When sending began. Relative dates of the audience count from it, also when another process
    #: continues the launch after a crash.
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
    #: The user id of the last recipient that the launch has written.
    snapshot_after = models.BigIntegerField(default=0)
    snapshot_done = models.BooleanField(default=False)
    #: The user id of the last recipient that has messages.
    messaged_after = models.BigIntegerField(default=0)
    messaged_done = models.BooleanField(default=False)
    #: When a process last wrote a part of the launch; None while no process works on it.
    launch_moved_at = models.DateTimeField(null=True, blank=True)
    #: The user id of the last recipient that the retry has queued again.
    requeue_after = models.BigIntegerField(default=0)
    requeue_done = models.BooleanField(default=True)
    #: False while waiting messages of a cancelled broadcast are still to be cancelled.
    cleared = models.BooleanField(default=True)
    #: When the last recipient ceased to be pending.
    handed_over_at = models.DateTimeField(null=True, blank=True)
    #: By how much the last reconciliation found the counters wrong.
    miscounted = models.IntegerField(default=0)
    #: A few moments of the last minute: [epoch seconds, recipients settled by then].
    pace = models.JSONField(default=list, blank=True)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
    )
    #: The ids of all users who wrote, changed or sent it, or hold the key that did: none of them
    #: may approve it.
    involved_user_ids = models.JSONField(
        default=list, db_default=EMPTY_LIST, db_column="hands", blank=True
    )
    #: How many recipients there were when it was approved. None where it was approved before this
    #: column existed.
    approved_count = models.PositiveIntegerField(null=True, blank=True)
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
                fields=["list_id", "-id"],
                condition=models.Q(in_archive=True),
                name="broadcast_in_archive",
            ),
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
        """The source of its messages. Workers are fair among sources; a kill switch names one."""
        return f"broadcast:{self.pk}"

    @property
    def tally(self) -> RecipientCounts:
        """The counters as they are shown.

        While the launch writes the recipients, those that have no row yet count as pending. Where
        the broadcast was cancelled meanwhile, they count as cancelled.
        """
        total, cancelled = self.recipient_count, self.cancelled_count
        if self.job_id is not None and not self.snapshot_done:
            total = max(total, self.meant_count)
            if self.status == BroadcastStatus.CANCELLED:
                cancelled += total - self.recipient_count
        return RecipientCounts(
            total=total,
            sent=self.sent_count,
            failed=self.failed_count,
            suppressed=self.suppressed_count,
            uncertain=self.uncertain_count,
            cancelled=cancelled,
        )


class BroadcastRecipientManager(models.Manager["BroadcastRecipient"]):
    """Creates rows that callers fill by the documented fields."""

    def bulk_create(
        self, objs: Iterable[BroadcastRecipient], *args: Any, **kwargs: Any
    ) -> list[BroadcastRecipient]:
        """Inserts the rows, after their states were derived from the documented fields."""
        rows = list(objs)
        for row in rows:
            row.read_documented_fields()
        return super().bulk_create(rows, *args, **kwargs)


class BroadcastRecipient(models.Model):
    """One recipient of a broadcast.

    The foreign keys have no database constraint, as in all hot tables (docs/adr, number 4).
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
        on_delete=models.DO_NOTHING,  # the row stays when the user is erased
        db_index=False,
        db_constraint=False,
        related_name="broadcast_receipts",
    )
    #: Reserved when the row is written, so that creating the messages updates no row.
    notification_id = models.BigIntegerField(null=True, blank=True)
    #: The state as which the broadcast's counters count the recipient.
    state = models.CharField(
        max_length=10,
        choices=[(state.value, state.name.capitalize()) for state in RecipientState],
        default=RecipientState.PENDING.value,
    )
    #: The status of the message on each channel.
    channel_states = models.JSONField(null=True, blank=True)
    telegram_sent = models.BooleanField(default=False)
    telegram_message_id = models.CharField(max_length=100, null=True, blank=True)
    telegram_error = models.TextField(null=True, blank=True)
    #: Why the recipient failed or was suppressed, on any channel.
    error = models.TextField(null=True, blank=True)
    #: Whether a retry is to queue the failed messages again.
    requeue = models.BooleanField(default=False)
    retries = models.SmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)
    #: Why the message is due then and goes there first, where that was learned: JSON of
    #: features/learning/stored.py; None elsewhere.
    choice = models.TextField(null=True, editable=False)

    objects: ClassVar[BroadcastRecipientManager] = BroadcastRecipientManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["broadcast", "recipient"], name="broadcast_recipient_once"
            )
        ]
        indexes = [
            # A partial index. While PostgreSQL has no statistics about a broadcast, it could prefer
            # a full one to broadcast_recipient_once for finding one recipient, and read all rows.
            models.Index(
                fields=["broadcast", "telegram_sent"],
                condition=models.Q(telegram_sent=True),
                name="broadcast_recipient_sent",
            ),
            models.Index(fields=["recipient", "broadcast"], name="broadcast_recipient_person"),
            models.Index(
                fields=["broadcast", "state", "recipient"],
                condition=~models.Q(
                    state=RecipientState.PENDING.value
                ),  # an insertion does not write it
                name="broadcast_recipient_state",
            ),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Saves the row; derives the state of a new row from the documented fields."""
        if self._state.adding:
            self.read_documented_fields()
        super().save(*args, **kwargs)

    def read_documented_fields(self) -> None:
        """Sets the state of a pending row from telegram_sent and telegram_error."""
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
    """Moves a broadcast to `target` if the table of transitions allows it; returns whether it did.

    One conditional UPDATE, which also writes `values`. The caller is in a transaction.
    """
    allowed = sources_of(target) if only_from is None else sources_of(target) & only_from
    rows = Broadcast.objects.filter(pk=broadcast_id, status__in=list(allowed))
    return rows.update(status=BroadcastStatus(target).value, **(values or {})) == 1
