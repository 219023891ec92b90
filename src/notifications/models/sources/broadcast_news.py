"""What the record tells broadcasts: whose messages changed. Appended, never updated.

Many workers record slices of one broadcast at once. Each appends a row; one process folds the rows
into recipients and counters (features/broadcasts/delivery/fold.py): no row is written by all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import ClassVar

from django.db import models

from notifications.models.delivery.batch import pack_keys

_SOURCE = "broadcast:"


def broadcast_of(source: str) -> int | None:
    """The broadcast whose messages have this source; None for all others."""
    return int(source[len(_SOURCE) :]) if source.startswith(_SOURCE) else None


class BroadcastNewsManager(models.Manager["BroadcastNews"]):
    """Appends rows."""

    def tell(self, changed: Iterable[tuple[str, int]]) -> None:
        """Notes (source, notification key) of messages whose status has just changed, in the
        caller's transaction. Sources that are no broadcast's cost nothing."""
        keys: dict[int, set[int]] = defaultdict(set)
        for source, key in changed:
            number = source.removeprefix(_SOURCE)
            if number != source and number.isdecimal():
                keys[int(number)].add(key)
        if keys:
            self.bulk_create(
                BroadcastNews(broadcast_id=broadcast_id, keys=pack_keys(found))
                for broadcast_id, found in keys.items()
            )


class BroadcastNews(models.Model):
    """Notifications of one broadcast whose messages changed, packed as a batch's members are."""

    id = models.BigAutoField(primary_key=True)
    broadcast_id = models.BigIntegerField()
    keys = models.TextField()

    objects: ClassVar[BroadcastNewsManager] = BroadcastNewsManager()

    class Meta:
        verbose_name_plural = "broadcast news"

    def __str__(self) -> str:
        return f"news {self.pk} of broadcast {self.broadcast_id}"
