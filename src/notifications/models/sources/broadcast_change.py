"""Changes of a broadcast's messages that are not counted yet. Rows are appended, never updated.

Many workers record slices of one broadcast at once. Each appends a row, and one process folds the
rows into recipients and counters (features/broadcasts/delivery/fold.py). So there is no row that
all workers write.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import ClassVar

from django.db import models

from notifications.models.delivery.batch import pack_keys

_SOURCE = "broadcast:"


def broadcast_of(source: str) -> int | None:
    """Returns the id of the broadcast whose messages have this source; None for other sources."""
    return int(source[len(_SOURCE) :]) if source.startswith(_SOURCE) else None


class BroadcastChangeManager(models.Manager["BroadcastChange"]):
    """Appends rows."""

    def append(self, changed: Iterable[tuple[str, int]]) -> None:
        """Appends (source, notification key) of messages whose status has just changed.

        Runs in the caller's transaction, and no statement for sources that are no broadcasts.
        """
        keys: dict[int, set[int]] = defaultdict(set)
        for source, key in changed:
            number = source.removeprefix(_SOURCE)
            if number != source and number.isdecimal():
                keys[int(number)].add(key)
        if keys:
            self.bulk_create(
                BroadcastChange(broadcast_id=broadcast_id, keys=pack_keys(found))
                for broadcast_id, found in keys.items()
            )


class BroadcastChange(models.Model):
    """Notifications of one broadcast whose messages changed."""

    id = models.BigAutoField(primary_key=True)
    broadcast_id = models.BigIntegerField()
    #: The notifications' keys, packed as the members of a batch are.
    keys = models.TextField()

    objects: ClassVar[BroadcastChangeManager] = BroadcastChangeManager()

    class Meta:
        db_table = "notifications_broadcastnews"

    def __str__(self) -> str:
        return f"change {self.pk} of broadcast {self.broadcast_id}"
