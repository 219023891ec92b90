"""Goals, the events of people, and the conversions that follow from both."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from django.db import models

from directory.keys import load_keys_of_people
from notifications.infra import clock
from notifications.models.fields import SealedJSONField
from vault.cells import Key

DEFAULT_WINDOW = timedelta(days=7)


class Goal(models.Model):
    """What people should do after a message: an event, within a time after they engaged with it."""

    name = models.CharField(max_length=100, unique=True)
    #: The name of the event.
    event = models.CharField(max_length=100, db_index=True)
    window_s = models.IntegerField(default=int(DEFAULT_WINDOW.total_seconds()))
    #: Whether an open counts as engagement where no link was clicked.
    counts_opens = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=clock.now)

    objects: ClassVar[models.Manager[Goal]] = models.Manager()

    def __str__(self) -> str:
        return self.name

    @property
    def window(self) -> timedelta:
        """How long before the event the engagement may be."""
        return timedelta(seconds=self.window_s)


class PersonEvent(models.Model):
    """Something that a person did elsewhere, reported by a caller. It never changes."""

    id = models.BigAutoField(primary_key=True)
    user_id = models.BigIntegerField()
    name = models.CharField(max_length=100)
    #: Sealed under the key of the person.
    properties = SealedJSONField(null=True, blank=True)
    occurred_at = models.DateTimeField()
    #: The caller's own key of the event: with the same source and key it is the same event.
    idempotency_key = models.CharField(max_length=200)
    source = models.CharField(max_length=60)
    received_at = models.DateTimeField(default=clock.now, db_index=True)

    objects: ClassVar[models.Manager[PersonEvent]] = models.Manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "idempotency_key"], name="person_event_once")
        ]
        indexes = [models.Index(fields=["user_id", "occurred_at"], name="person_event_of")]

    def __str__(self) -> str:
        return f"event {self.pk}: {self.name}"

    def cell_key(self) -> Key | None:
        """Returns the data key of its person, which seals its properties."""
        return load_keys_of_people([self.user_id]).get(self.user_id)


class Conversion(models.Model):
    """An event that a goal names, and the message to which it is attributed, if any is."""

    id = models.BigAutoField(primary_key=True)
    goal = models.ForeignKey(Goal, on_delete=models.CASCADE, related_name="conversions")
    event_id = models.BigIntegerField()
    user_id = models.BigIntegerField()
    occurred_at = models.DateTimeField(db_index=True)
    #: Null where nothing that the person engaged with is within the window.
    message_id = models.BigIntegerField(null=True)
    #: When the person engaged with that message.
    touched_at = models.DateTimeField(null=True)

    objects: ClassVar[models.Manager[Conversion]] = models.Manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["goal", "event_id"], name="conversion_once")]
        indexes = [
            models.Index(fields=["user_id", "occurred_at"], name="conversion_of"),
            models.Index(
                fields=["message_id"],
                condition=models.Q(message_id__isnull=False),
                name="conversion_of_message",
            ),
        ]

    def __str__(self) -> str:
        return f"conversion {self.pk}"
