"""How far the deletion of old rows has come, and the rows that it must look at again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import ClassVar

from django.db import models

from notifications.models.delivery.batch import pack_keys, unpack_keys

LEFTOVER_KEYS = 500
"""The most keys of one row of leftovers."""


class RetentionProgress(models.Model):
    """How far one rule has come in the order of keys, for one group of categories.

    The rows up to `position` were emptied or deleted, or are named by a leftover.
    """

    rule = models.CharField(max_length=40)
    #: The category whose own retention counts; 0 for all categories without one.
    category_id = models.BigIntegerField(default=0)
    position = models.BigIntegerField(default=0)
    #: All rows that were made before this time were looked at.
    reached_at = models.DateTimeField(null=True)
    #: When the rule looks for work again; in the past while it has more to do.
    next_at = models.DateTimeField()
    #: The age at which rows are due, in days, as of the last step.
    days = models.IntegerField(null=True)
    #: Rows that were emptied or deleted since the rule first ran.
    done = models.BigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "retention progress"
        constraints = [
            models.UniqueConstraint(fields=["rule", "category_id"], name="retention_progress_once")
        ]

    def __str__(self) -> str:
        return f"{self.rule} up to {self.position}"


class LeftoverManager(models.Manager["RetentionLeftover"]):
    """Writes the keys that must be looked at again."""

    def add(
        self, rule: str, category_id: int, keys: Collection[int], *, again_at: datetime
    ) -> None:
        """Adds keys, in rows of at most LEFTOVER_KEYS."""
        ordered = sorted(keys)
        self.bulk_create(
            RetentionLeftover(
                rule=rule,
                category_id=category_id,
                first_key=part[0],
                last_key=part[-1],
                keys=pack_keys(part),
                again_at=again_at,
            )
            for part in _parts(ordered)
        )

    def look_again(self, rule: str, category_id: int, *, now: datetime) -> None:
        """Makes all leftovers of a group due, because the age or the group of rows has changed."""
        later = self.filter(rule=rule, category_id=category_id, again_at__gt=now)
        later.update(again_at=now)


def _parts(keys: Sequence[int]) -> list[Sequence[int]]:
    return [keys[at : at + LEFTOVER_KEYS] for at in range(0, len(keys), LEFTOVER_KEYS)]


class RetentionLeftover(models.Model):
    """Keys at or below a rule's position whose rows had to stay: not ended, on hold, or not due."""

    rule = models.CharField(max_length=40)
    category_id = models.BigIntegerField()
    first_key = models.BigIntegerField()
    last_key = models.BigIntegerField()
    #: Packed as the members of a batch are.
    keys = models.TextField()
    again_at = models.DateTimeField()

    objects: ClassVar[LeftoverManager] = LeftoverManager()

    class Meta:
        indexes = [
            models.Index(
                fields=["rule", "category_id", "again_at", "id"], name="retention_leftover_due"
            )
        ]

    def __str__(self) -> str:
        return f"{self.rule}: keys {self.first_key} to {self.last_key}"

    def key_list(self) -> list[int]:
        """Returns the keys, in order."""
        return unpack_keys(self.keys)
