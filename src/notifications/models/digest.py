"""Digests that are being gathered, and how often somebody was told something lately."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from notifications.models.fields import SealedJSONField


class DigestBucket(models.Model):
    """What is to go into one digest: one open bucket a person, channel and period.

    A bucket is never empty: it is made with its first item. closed_at is written once, in the
    transaction that takes the digest in; what comes later goes into the next period.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        db_constraint=False,
        db_index=False,
        related_name="digest_buckets",
    )
    channel = models.CharField(max_length=10)
    frequency = models.CharField(max_length=20)
    period = models.CharField(max_length=60)  # e.g. daily:2030-05-01
    closes_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    notification_id = models.BigIntegerField(null=True)  # the digest, once closed
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "channel", "period"], name="digest_bucket_once")
        ]
        indexes = [
            models.Index(
                fields=["closes_at", "id"],
                condition=Q(closed_at__isnull=True),
                name="digest_bucket_due",
            )
        ]

    def __str__(self) -> str:
        return f"digest of user {self.user_id} on {self.channel}, {self.period}"


class DigestItem(models.Model):
    """One message that was folded into a digest. summary: {title, body, category}, sealed."""

    bucket = models.ForeignKey(
        DigestBucket, on_delete=models.CASCADE, db_constraint=False, related_name="items"
    )
    message_id = models.BigIntegerField(unique=True)
    notification_id = models.BigIntegerField()
    category_id = models.BigIntegerField()
    summary = SealedJSONField()
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"message {self.message_id} in digest {self.bucket_id}"


class FrequencyCount(models.Model):
    """What one person was told lately under one limit: the entries of the last window.

    scope: `category:<key>`, `throttle:<key>` or `dedupe:<collapse key>`. entries: "ms:message ..."
    of those that were handed over. until: when the last entry leaves the window.
    """

    user_id = models.BigIntegerField()
    scope = models.CharField(max_length=150)
    channel = models.CharField(max_length=10)  # empty: all channels together
    window_s = models.PositiveIntegerField()
    entries = models.TextField(default="")
    until = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user_id", "scope", "channel", "window_s"], name="frequency_count_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.scope} of user {self.user_id}"
