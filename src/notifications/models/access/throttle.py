"""How often somebody did something lately: what throttles count by, over all processes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from django.db import OperationalError, models

_MOST_TRIES = 5


class ThrottleManager(models.Manager["ThrottleCount"]):
    """Locks rows in one order; the caller's transaction decides how long."""

    def locked(self, keys: Sequence[str], *, at: datetime) -> dict[str, ThrottleCount]:
        """The rows of these keys, made where they are missing. A row whose time is over is new.

        Raises:
            OperationalError: what was made was gone each time; the same may go well later.
        """
        wanted = set(keys)
        for _ in range(_MOST_TRIES):
            self.bulk_create(
                [ThrottleCount(key=key, began=at, not_before=at, until=at) for key in sorted(keys)],
                ignore_conflicts=True,
            )
            found = self.select_for_update().filter(key__in=keys).order_by("key")
            rows = {row.key: row for row in found}
            if len(rows) == len(wanted):
                break
            # One was cleared away between the two statements.
        else:
            raise OperationalError(f"counts were cleared away {_MOST_TRIES} times before a lock")
        for row in rows.values():
            if row.until <= at:
                row.count, row.began, row.not_before = 0, at, at
        return rows


class ThrottleCount(models.Model):
    """One count. key: a keyed hash of what is counted; until: when it is forgotten."""

    key = models.CharField(max_length=64, primary_key=True)
    count = models.IntegerField(default=0)
    began = models.DateTimeField()
    not_before = models.DateTimeField()
    until = models.DateTimeField(db_index=True)

    objects: ClassVar[ThrottleManager] = ThrottleManager()

    def __str__(self) -> str:
        return f"{self.count} until {self.until}"
