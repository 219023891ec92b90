"""A notification: what one user is told, once, whatever the channels. The row of the inbox."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from notifications.domain.identifiers import public_id
from notifications.domain.lifecycle import MessageStatus, best_status
from notifications.infra import clock
from notifications.models.fields import PublicIdField, SealedJSONField
from notifications.models.keys import reserve_keys


class ScheduledStatus(models.TextChoices):
    """How far a scheduled notification has come. Retrying leads back from failed to pending."""

    PENDING = "pending", "Pending"
    SENT = "sent", "Sent"
    CANCELLED = "cancelled", "Cancelled"
    FAILED = "failed", "Failed"  # no channel took it, for good
    WITHHELD = "withheld", "Withheld"  # the person's wishes, a limit, or its time had run out


class Notification(models.Model):
    """One intent of one caller for one person.

    Foreign keys of hot tables carry no database constraint: PostgreSQL would check each with a
    query a row. `carillon doctor` and the invariant tests look for strays instead (ADR 4).
    """

    id = models.BigIntegerField(primary_key=True)
    uuid = PublicIdField(editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,  # what was sent stays a fact when its person is gone
        null=True,
        db_index=False,  # the index of the inbox begins with it
        db_constraint=False,
        related_name="notifications",
    )
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
    scheduled_status = models.CharField(max_length=9, choices=ScheduledStatus.choices, null=True)
    cancelled_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    collapse_key = models.CharField(max_length=100, null=True)
    ordering_key = models.CharField(max_length=100, null=True)
    idempotency_key = models.CharField(max_length=200, null=True)
    correlation_id = models.CharField(max_length=64, null=True)
    ab_test_id = models.BigIntegerField(null=True)
    variant = models.CharField(max_length=50, null=True)
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
            # Sends that nobody scheduled are in neither of these, so that they cost them nothing.
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
        ]

    def __str__(self) -> str:
        return f"notification {self.uuid}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Gives a new row its key and public id; hot inserts bring their own."""
        if self.created_at is None:
            self.created_at = clock.now()
        if self.scheduled_at is None:
            self.scheduled_at = self.created_at
        if self.pk is None:
            self.pk = reserve_keys(1)[0]
        if self.uuid is None:
            self.uuid = public_id(self.pk, clock.epoch_ms(self.created_at))
        super().save(*args, **kwargs)

    @property
    def status(self) -> MessageStatus:
        """The status of the best message."""
        statuses = [message.status for message in self.messages.all()]
        return best_status(statuses) if statuses else MessageStatus.PENDING

    @property
    def recipient(self) -> Any:
        """The person who is told: `user`, by the name of the source documents."""
        return self.user

    @property
    def is_read(self) -> bool:
        return self.read_at is not None

    objects: ClassVar[models.Manager[Notification]] = models.Manager()
