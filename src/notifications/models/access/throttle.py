"""The counts of throttles, shared by all processes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from django.db import OperationalError, models

_MOST_ATTEMPTS = 5


class ThrottleManager(models.Manager["ThrottleCount"]):
    """Locks rows in one order, until the caller's transaction ends."""

    def locked(self, keys: Sequence[str], *, at: datetime) -> dict[str, ThrottleCount]:
        """Returns the rows of these keys, created where missing. An expired row starts at zero.

        Raises:
            OperationalError: the created rows were deleted each time; a later call may succeed.
        """
        wanted = set(keys)
        for _ in range(_MOST_ATTEMPTS):
            self.bulk_create(
                [ThrottleCount(key=key, began=at, not_before=at, until=at) for key in sorted(keys)],
                ignore_conflicts=True,
            )
            found = self.select_for_update().filter(key__in=keys).order_by("key")
            rows = {row.key: row for row in found}
            if len(rows) == len(wanted):
                break
            # Maintenance deleted a row between the two statements.
        else:
            raise OperationalError(
                f"counts were deleted {_MOST_ATTEMPTS} times before they were locked"
            )
        for row in rows.values():
            if row.until <= at:
                row.count, row.began, row.not_before = 0, at, at
        return rows


class ThrottleCount(models.Model):
    """One count."""

    #: A keyed hash of what is counted.
    key = models.CharField(max_length=64, primary_key=True)
    count = models.IntegerField(default=0)
    began = models.DateTimeField()
    not_before = models.DateTimeField()
    #: When the row is deleted.
    until = models.DateTimeField(db_index=True)

    objects: ClassVar[ThrottleManager] = ThrottleManager()

    def __str__(self) -> str:
        return f"{self.count} until {self.until}"
