"""Digests that collect messages."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import ClassVar, NamedTuple

from django.conf import settings
from django.db import models
from django.db.models import Q

from notifications.models.fields import SealedJSONField


class BucketKey(NamedTuple):
    """Identifies a digest: one for each user, channel and period."""

    user_id: int
    channel: str
    period: str


class BucketTerms(NamedTuple):
    """What a new bucket starts with."""

    frequency: str
    closes_at: datetime


class BucketManager(models.Manager["DigestBucket"]):
    """Creates buckets and locks them while items are added."""

    def lock(self, wanted: dict[BucketKey, BucketTerms], *, at: datetime) -> dict[BucketKey, int]:
        """Returns the ids of these buckets, created where missing, without those that are closed.

        They are locked, in one order, until the caller's transaction ends, so no other process
        closes one meanwhile. The caller must add an item to each bucket that it created.
        """
        self.bulk_create(
            (
                DigestBucket(
                    user_id=key.user_id,
                    channel=key.channel,
                    period=key.period,
                    frequency=wanted[key].frequency,
                    closes_at=wanted[key].closes_at,
                    created_at=at,
                )
                for key in sorted(wanted)
            ),
            ignore_conflicts=True,
        )
        rows = self._of(wanted).select_for_update().order_by("user_id", "channel", "period")
        found = {BucketKey(row.user_id, row.channel, row.period): row for row in rows}
        return {
            key: row.pk for key, row in found.items() if key in wanted and row.closed_at is None
        }

    def _of(self, keys: Collection[BucketKey]) -> models.QuerySet[DigestBucket]:
        return self.filter(
            user_id__in={key.user_id for key in keys},
            channel__in={key.channel for key in keys},
            period__in={key.period for key in keys},
        )


class DigestBucket(models.Model):
    """Collects the items of one digest: one open bucket for each user, channel and period.

    A bucket is never empty: it is created with its first item.
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
    #: Written once, in the transaction that accepts the digest. Later items go to the next period.
    closed_at = models.DateTimeField(null=True)
    notification_id = models.BigIntegerField(null=True)  # the digest, once closed
    created_at = models.DateTimeField()

    objects: ClassVar[BucketManager] = BucketManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "channel", "period"], name="digest_bucket_once")
        ]
        indexes = [
            models.Index(
                fields=["closes_at", "id"],
                condition=Q(closed_at__isnull=True),
                name="digest_bucket_due",
            ),
            models.Index(
                fields=["closed_at", "id"],
                condition=Q(closed_at__isnull=False),
                name="digest_bucket_closed",
            ),
        ]

    def __str__(self) -> str:
        return f"digest of user {self.user_id} on {self.channel}, {self.period}"


class DigestItem(models.Model):
    """One message that was added to a digest."""

    bucket = models.ForeignKey(
        DigestBucket, on_delete=models.CASCADE, db_constraint=False, related_name="items"
    )
    message_id = models.BigIntegerField(unique=True)
    notification_id = models.BigIntegerField()
    category_id = models.BigIntegerField()
    #: {title, body}, sealed.
    summary = SealedJSONField()
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"message {self.message_id} in digest {self.bucket_id}"
