"""The position and the unread number of each person's inbox."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from django.db import models


class InboxCounterManager(models.Manager["InboxCounter"]):
    """Creates and locks the rows."""

    def lock(self, user_ids: Iterable[int]) -> dict[int, InboxCounter]:
        """Locks the counters of people, in the order of their ids, until the transaction ends.

        Missing ones are created. Only the holder of the lock makes events of that person, so the
        positions of one person appear in the order of commits.
        """
        wanted = sorted(set(user_ids))
        self.bulk_create([InboxCounter(user_id=each) for each in wanted], ignore_conflicts=True)
        rows = self.select_for_update().filter(user_id__in=wanted).order_by("user_id")
        return {row.user_id: row for row in rows}


class InboxCounter(models.Model):
    """One row a person. A transaction that raises it has its lock until the event is committed.

    Locks are taken in this order: batches, frequency counts, digest buckets, messages, counters.
    """

    user_id = models.BigIntegerField(primary_key=True)
    #: The position of the newest event. It never falls within an epoch.
    seq = models.BigIntegerField(default=0, db_default=0)
    #: Arrivals that are neither read, archived, snoozed nor retracted.
    unread = models.IntegerField(default=0, db_default=0)
    #: Changes up to this position may be deleted: who is behind it gets a snapshot.
    floor = models.BigIntegerField(default=0, db_default=0)

    objects: ClassVar[InboxCounterManager] = InboxCounterManager()

    def __str__(self) -> str:
        return f"inbox of user {self.user_id} at {self.seq}"
