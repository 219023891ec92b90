"""What a person's inbox shows: one row a notification."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q

from directory.keys import load_keys_of_people
from notifications.models.fields import PublicIdField, SealedJSONField
from vault.cells import Key

UNREAD = Q(
    read_at__isnull=True,
    archived_at__isnull=True,
    snoozed_until__isnull=True,
    retracted_at__isnull=True,
)
"""The condition of arrivals that count as unread."""


class InboxArrival(models.Model):
    """A notification that arrived in the inbox of its person.

    The first of its in_app and websocket messages that is recorded as sent makes the row.
    """

    #: A notification has one person, so it arrives once.
    notification = models.OneToOneField(
        "notifications.Notification",
        primary_key=True,
        db_column="id",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="arrival",
    )
    #: The public id of the notification.
    uuid = PublicIdField(editable=False)
    user_id = models.BigIntegerField()
    #: The position of the arrival among the events of its person.
    seq = models.BigIntegerField()
    category_id = models.BigIntegerField()
    priority = models.SmallIntegerField(default=3)
    #: Title, body and data, under the person's data key. Emptied when it is retracted.
    content = SealedJSONField(null=True, blank=True)
    arrived_at = models.DateTimeField()
    #: When a visible document showed it first.
    seen_at = models.DateTimeField(null=True)
    read_at = models.DateTimeField(null=True)
    archived_at = models.DateTimeField(null=True)
    snoozed_until = models.DateTimeField(null=True)
    #: When the sender retracted it: it is shown no more.
    retracted_at = models.DateTimeField(null=True)

    objects: ClassVar[models.Manager[InboxArrival]] = models.Manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user_id", "seq"], name="inbox_arrival_place")
        ]
        indexes = [
            models.Index(
                fields=["snoozed_until"],
                condition=Q(snoozed_until__isnull=False),
                name="inbox_arrival_snoozed",
            )
        ]

    def __str__(self) -> str:
        return f"arrival {self.uuid} of user {self.user_id}"

    def cell_key(self) -> Key | None:
        """Returns the data key of its person."""
        return load_keys_of_people([self.user_id]).get(self.user_id)

    @property
    def is_unread(self) -> bool:
        """Whether it counts as unread."""
        return not (self.read_at or self.archived_at or self.snoozed_until or self.retracted_at)

    def part(self, name: str) -> Any:
        """Returns `title`, `body` or `data` of its content; None where it has none."""
        return (self.content or {}).get(name)
