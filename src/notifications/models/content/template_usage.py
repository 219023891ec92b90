"""How often each version of a template was used, by day, channel and language."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import ClassVar, NamedTuple

from django.db import connection, models

from notifications.infra.database.transactions import transaction_with_lock_timeout
from notifications.models.content.template import TemplateVersion

_MARKS = "(%s, %s, %s, %s, %s)"
_ADD = (
    "INSERT INTO notifications_templateusage (version_id, channel, locale, day, count) VALUES {}"
    " ON CONFLICT (version_id, channel, locale, day)"
    " DO UPDATE SET count = notifications_templateusage.count + excluded.count"
)
LOCK_WAIT_S = 0.1
"""Statistics do not wait longer for a lock: a lost host may hold the row."""
ROWS_A_STATEMENT = 150  # five values a row; SQLite's oldest builds take 999


class UsageKey(NamedTuple):
    """What is counted, in the order of the statement."""

    version_id: int
    channel: str
    locale: str
    day: date


class TemplateUsageManager(models.Manager["TemplateUsage"]):
    """Adds counts, many at once."""

    def add(self, counts: Mapping[UsageKey, int]) -> None:
        """Adds to the rows of these keys, in the order of keys, so two callers do not deadlock.

        Raises:
            OperationalError: another transaction holds one of the rows; nothing was added.
        """
        rows = [(*key, count) for key, count in sorted(counts.items())]
        with transaction_with_lock_timeout(LOCK_WAIT_S), connection.cursor() as cursor:
            for at in range(0, len(rows), ROWS_A_STATEMENT):
                part = rows[at : at + ROWS_A_STATEMENT]
                values = [value for row in part for value in row]
                cursor.execute(_ADD.format(", ".join([_MARKS] * len(part))), values)


class TemplateUsage(models.Model):
    """A count. It has no foreign key: a template may be deleted while a worker still counts."""

    version = models.ForeignKey(
        TemplateVersion, on_delete=models.CASCADE, db_constraint=False, related_name="+"
    )
    channel = models.CharField(max_length=20)
    locale = models.CharField(max_length=20)
    day = models.DateField()  # in UTC
    count = models.PositiveBigIntegerField()

    objects: ClassVar[TemplateUsageManager] = TemplateUsageManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version", "channel", "locale", "day"], name="template_usage_once"
            )
        ]
        indexes = [models.Index(fields=["day"], name="template_usage_day")]

    def __str__(self) -> str:
        return f"{self.version_id} {self.channel} {self.locale} {self.day}: {self.count}"
