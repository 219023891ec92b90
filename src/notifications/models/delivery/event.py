"""Append-only facts: what happened to a message, and each call to a provider."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q

from notifications.infra import clock
from notifications.models.fields import SealedJSONField


class MessageEvent(models.Model):
    """A change that did not come from the hot path: cancel, crash, receipt, replay.

    The message's own trail has the decisions and results of a pass; it is written with the record.
    """

    message_id = models.BigIntegerField()
    kind = models.CharField(max_length=20)
    reason = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["message_id", "id"])]

    def __str__(self) -> str:
        return f"{self.kind} of message {self.message_id}"

    def as_entry(self) -> dict[str, Any]:
        """Returns the event as an entry of a message's history."""
        return {"at": clock.epoch_ms(self.at), "event": self.kind, "reason": self.reason}


class DeliveryAttempt(models.Model):
    """One call to a provider for a message. It never changes; only retention deletes it."""

    message_id = models.BigIntegerField()
    number = models.SmallIntegerField()
    provider = models.CharField(max_length=30)
    verdict = models.CharField(max_length=10)
    error_code = models.CharField(max_length=60, blank=True)
    error = models.TextField(blank=True)
    provider_message_id = models.CharField(max_length=200, blank=True)
    response = SealedJSONField(null=True)
    duration_ms = models.IntegerField(default=0)
    #: The device of the call, when a message goes to several.
    device_id = models.BigIntegerField(null=True)
    at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["message_id", "id"]),
            models.Index(
                fields=["provider_message_id"],
                condition=~Q(provider_message_id=""),
                name="attempt_of_vendors_id",
            ),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of message {self.message_id}"


class LateOutcome(models.Model):
    """A result that came after the worker had lost its lease: it resolves an uncertain message."""

    message_id = models.BigIntegerField(db_index=True)
    provider = models.CharField(max_length=30)
    verdict = models.CharField(max_length=10)
    provider_message_id = models.CharField(max_length=200, blank=True)
    error = models.TextField(blank=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"late {self.verdict} of message {self.message_id}"
