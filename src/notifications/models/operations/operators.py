"""What operators work with: dead letters, kill switches, and the sandbox's outbox."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from notifications.models.fields import SealedJSONField


class DeadLetter(models.Model):
    """A message that finally failed, or that a person must decide about."""

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
    code = models.CharField(max_length=60)  # error code, or `uncertain`, `poison`
    last_error = models.TextField(blank=True)
    last_result = SealedJSONField(null=True)
    attempts = models.SmallIntegerField(default=0)
    failed_at = models.DateTimeField()
    asked = models.SmallIntegerField(default=0, db_default=0)  # times that its provider was asked
    resolution = models.CharField(max_length=9, choices=Resolution.choices, blank=True)
    resolution_reason = models.CharField(max_length=200, blank=True)
    resolved_by = models.CharField(max_length=60, blank=True)
    resolved_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["message_id"]),
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
    """One stop that is in force. Lifting it deletes the row; the audit keeps who did what."""

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
    """One row, written now and then by whoever asks whether the database takes writes."""

    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"written at {self.at}"


class AskedUpTo(models.Model):
    """One row: the attempt up to which providers were asked for receipts that did not come."""

    attempt = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"asked up to attempt {self.attempt}"


class OperatorAlert(models.Model):
    """An alert that is raised: one row while it lasts, so that it is told once."""

    name = models.CharField(max_length=40, unique=True)
    raised_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"alert {self.name}"


class OperatorAction(models.Model):
    """Append-only: who did what to the service, and why."""

    actor = models.CharField(max_length=60)
    action = models.CharField(max_length=40)
    target = models.CharField(max_length=260, blank=True)
    reason = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.target}"


class SandboxMessage(models.Model):
    """What would have gone out, as the sandbox provider kept it. Committed with the record."""

    message_id = models.BigIntegerField(unique=True)
    channel = models.CharField(max_length=10)
    content = SealedJSONField()  # recipient, title, body, html, data, headers, ...
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["channel", "id"])]

    def __str__(self) -> str:
        return f"sandbox message {self.message_id}"
