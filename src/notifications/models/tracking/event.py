"""Evidence: one request for a pixel or a link of a mail."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from directory.keys import load_keys_of_people
from notifications.domain.engagement import Actor, EventKind
from notifications.models.fields import SealedJSONField
from vault.cells import Key


class TrackingEvent(models.Model):
    """One request, with what a classifier needs to tell people from machines.

    It is append-only evidence: only the verdict of a newer classifier changes, and retention
    deletes it.
    """

    message_id = models.BigIntegerField()
    notification_id = models.BigIntegerField()
    user_id = models.BigIntegerField(null=True)
    kind = models.CharField(max_length=8, choices=[(kind.value, kind.name) for kind in EventKind])
    #: The place of the link in the mail, from 0; null for the pixel.
    link = models.SmallIntegerField(null=True)
    at = models.DateTimeField(db_index=True)
    #: How many like it came within seconds, itself included.
    repeats = models.SmallIntegerField(default=1)
    method = models.CharField(max_length=8)
    #: `{"agent", "network", "headers"}`: the User-Agent, the reduced address, the headers that
    #: matter. Null where no key could seal it.
    facts = SealedJSONField(null=True, blank=True)
    verdict = models.CharField(
        max_length=7, choices=[(actor.value, actor.name) for actor in Actor], default=Actor.UNKNOWN
    )
    #: The rule of the classifier that decided.
    reason = models.CharField(max_length=30, blank=True, default="")
    #: The version of the classifier that decided; 0 for none yet.
    classifier = models.SmallIntegerField(default=0)

    objects: ClassVar[models.Manager[TrackingEvent]] = models.Manager()

    class Meta:
        indexes = [models.Index(fields=["message_id", "id"], name="tracking_event_of")]

    def cell_key(self) -> Key | None:
        """Returns the data key of its person."""
        return load_keys_of_people([self.user_id]).get(self.user_id) if self.user_id else None

    def __str__(self) -> str:
        return f"{self.kind} of message {self.message_id}"
