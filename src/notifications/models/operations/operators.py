"""Tables for operators: dead letters, kill switches, alerts, the audit and the sandbox's outbox."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from notifications.models.fields import SealedJSONField


class DeadLetter(models.Model):
    """A message that failed for good, or that needs a person's decision."""

    class Resolution(models.TextChoices):
        REPLAYED = "replayed", "Replayed"
        DISCARDED = "discarded", "Discarded"
        SETTLED = "settled", "Settled by a receipt or a person"

    message_id = models.BigIntegerField()
    notification_id = models.BigIntegerField()
    channel = models.CharField(max_length=10)
    provider = models.CharField(max_length=30, blank=True)
    category = models.CharField(max_length=50, blank=True)
    template_version_id = models.BigIntegerField(null=True)
    #: The error code; `uncertain` or `poison` where there is none.
    code = models.CharField(max_length=60)
    last_error = models.TextField(blank=True)
    last_result = SealedJSONField(null=True)
    attempts = models.SmallIntegerField(default=0)
    failed_at = models.DateTimeField()
    #: How often its provider was asked about it.
    asked = models.SmallIntegerField(default=0, db_default=0)
    resolution = models.CharField(max_length=9, choices=Resolution.choices, blank=True)
    resolution_reason = models.CharField(max_length=200, blank=True)
    resolved_by = models.CharField(max_length=60, blank=True)
    resolved_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["message_id"]),
            models.Index(fields=["failed_at"], name="dead_letter_failed"),
            models.Index(
                fields=["failed_at", "id"],
                condition=Q(resolved_at__isnull=True),
                name="dead_letter_open",
            ),
            models.Index(
                fields=["id"], condition=Q(resolved_at__isnull=True), name="dead_letter_waiting"
            ),
        ]

    def __str__(self) -> str:
        return f"dead letter of message {self.message_id} ({self.code})"


class KillSwitch(models.Model):
    """One stop that is in force. Lifting it deletes the row; the audit stores who did what."""

    class Scope(models.TextChoices):
        ALL = "all", "Everything"
        CHANNEL = "channel", "One channel"
        PROVIDER = "provider", "One provider"
        CATEGORY = "category", "One category"
        TEMPLATE = "template", "One template path"
        SOURCE = "source", "One source"
        VERSION = "version", "One template version, for all or one source"

    scope = models.CharField(max_length=8, choices=Scope.choices)
    value = models.CharField(max_length=200, blank=True)
    reason = models.CharField(max_length=200)
    actor = models.CharField(max_length=60)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "kill switches"
        constraints = [models.UniqueConstraint(fields=["scope", "value"], name="kill_switch_once")]

    def __str__(self) -> str:
        return f"stop {self.scope} {self.value}".strip()


class WriteProbe(models.Model):
    """One row. The health check writes it to see whether the database accepts writes."""

    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"written at {self.at}"


class ReceiptPollCursor(models.Model):
    """One row: the attempt up to which providers were asked for missing receipts."""

    attempt = models.BigIntegerField(default=0)

    class Meta:
        db_table = "notifications_askedupto"

    def __str__(self) -> str:
        return f"receipts polled up to attempt {self.attempt}"


class OperatorAlert(models.Model):
    """An alert that is raised: one row while it lasts, so that it is reported once."""

    name = models.CharField(max_length=40, unique=True)
    raised_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"alert {self.name}"


class OperatorAction(models.Model):
    """The audit, append-only: who did what to the service, and why."""

    actor = models.CharField(max_length=60)
    action = models.CharField(max_length=40)
    target = models.CharField(max_length=260, blank=True)
    reason = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.target}"


class SandboxMessage(models.Model):
    """A message that the sandbox provider stored instead of sending it."""

    message_id = models.BigIntegerField(unique=True)
    channel = models.CharField(max_length=10)
    #: recipient, title, body, html, data, headers, ...
    content = SealedJSONField()
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["channel", "id"])]

    def __str__(self) -> str:
        return f"sandbox message {self.message_id}"
