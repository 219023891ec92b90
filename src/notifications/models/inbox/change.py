"""Events of an inbox that are no arrivals."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class ChangeKind(models.TextChoices):
    """What happened to arrivals, or to the person's preferences."""

    READ = "read", "Read"
    UNREAD = "unread", "Unread"
    READ_ALL = "read_all", "All read"
    ARCHIVED = "archived", "Archived"
    UNARCHIVED = "unarchived", "Unarchived"
    SNOOZED = "snoozed", "Snoozed"
    RETURNED = "returned", "Returned from a snooze"
    RETRACTED = "retracted", "Retracted by the sender"
    AMENDED = "amended", "Amended by the sender"
    PREFERENCES = "preferences", "Preferences changed"


class InboxChange(models.Model):
    """One change. Its texts are in the arrivals, so that it needs no sealing."""

    id = models.BigAutoField(primary_key=True)
    user_id = models.BigIntegerField()
    #: Its position among the events of its person.
    seq = models.BigIntegerField()
    kind = models.CharField(max_length=12, choices=ChangeKind.choices)
    #: `{"ids": [public ids], "up_to": position, "category": key, "at": time, "until": time}`:
    #: what applies.
    terms = models.JSONField(default=dict)
    at = models.DateTimeField(db_index=True)

    objects: ClassVar[models.Manager[InboxChange]] = models.Manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user_id", "seq"], name="inbox_change_place")
        ]

    def __str__(self) -> str:
        return f"{self.kind} at {self.seq} of user {self.user_id}"
