"""A job: one bulk request and the result for its recipients."""

from __future__ import annotations

import uuid

from django.db import models

from notifications.models.fields import SealedJSONField


class Job(models.Model):
    """One accepted bulk request. Its messages lie between two keys, so counting needs no index."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    kind = models.CharField(max_length=20, default="bulk")
    source = models.CharField(max_length=60)
    actor = models.CharField(max_length=60, db_default="", default="")
    """Who made the request: all users are one source, so `source` does not say it."""
    context = SealedJSONField(null=True)  # shared by all recipients
    total = models.IntegerField()
    accepted = models.IntegerField()
    rejected = models.JSONField(default=list)
    first_key = models.BigIntegerField(null=True)
    last_key = models.BigIntegerField(null=True)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"job {self.uuid}"
