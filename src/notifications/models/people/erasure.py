"""Erasures of people and addresses, and legal holds."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q


class ErasureState(models.TextChoices):
    """How far an erasure is."""

    WAITING_FOR_HOLD = "waiting_for_hold", "Waiting for the end of a legal hold"
    REQUESTED = "requested", "Nothing is sent any more"
    KEYS_ERASED = "keys_erased", "The keys are erased"
    DONE = "done", "All rows are deleted"


OPEN = (ErasureState.REQUESTED, ErasureState.KEYS_ERASED)


class ErasureManager(models.Manager["Erasure"]):
    """Finds erasures that have work left."""

    def due(self, now: datetime) -> models.QuerySet[Erasure]:
        """Returns erasures that can go on, the oldest first."""
        return self.filter(state__in=OPEN, next_at__lte=now).order_by("pk")


class Erasure(models.Model):
    """One erasure. It is resumable, and becomes the certificate of what was erased."""

    State = ErasureState

    #: The certificate's public id.
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    #: The person's id; null for an address without a user.
    user_id = models.BigIntegerField(null=True, db_index=True)
    #: The person's UUID, by which the platform recognizes the certificate.
    person = models.UUIDField(null=True)
    #: The kind of the address, for an address without a user.
    kind = models.CharField(max_length=10, blank=True)
    reason = models.CharField(max_length=200)
    #: Who requested it.
    actor = models.CharField(max_length=60)
    state = models.CharField(max_length=20, choices=ErasureState.choices)
    requested_at = models.DateTimeField()
    keys_erased_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    #: When the next step is due. A step that fails is tried again later.
    next_at = models.DateTimeField(db_index=True)
    #: The ids of the data keys.
    key_ids = models.JSONField(default=list)
    #: The keys of messages that were in flight when it was requested.
    in_flight = models.JSONField(default=list)
    #: How many rows were deleted, by table, and how many messages were cancelled.
    removed = models.JSONField(default=dict)

    objects: ClassVar[ErasureManager] = ErasureManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user_id"], condition=~Q(state="done"), name="erasure_one_open"
            )
        ]

    def __str__(self) -> str:
        return f"erasure {self.uuid}"


class LegalHold(models.Model):
    """A duty to retain what is stored about a person. Sending to them may stop, deleting waits."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    user_id = models.BigIntegerField(db_index=True)
    reason = models.CharField(max_length=200)
    #: Who placed it.
    actor = models.CharField(max_length=60)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"legal hold {self.uuid}"
