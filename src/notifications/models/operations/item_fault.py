"""Items of periodic work that failed: tried three times, then set aside until somebody resumes
them. Meanwhile they are tried once a day: what was at fault may have been mended."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar, TypeVar

from django.db import models
from django.db.models import Exists, OuterRef, Q, QuerySet

Row = TypeVar("Row", bound=models.Model)
TRIES = 3
_MOST_COUNTED = 30_000
PAUSES = (timedelta(minutes=1), timedelta(minutes=5))
"""How long an item waits after its first and its second failure."""
PROBE = timedelta(days=1)
"""How often one that is set aside is tried."""


class Work(models.TextChoices):
    """What is done with an item, and whose key the item is."""

    RECEIPT = "receipt", "A provider's callback is applied"
    DIGEST = "digest", "A digest is sent"
    SCHEDULE = "schedule", "The next occurrence of a series is made, in one zone"
    STUCK = "stuck", "A scheduled notification that got stuck is mended"
    CLEAN_UP = "clean_up", "A cancelled notification is deleted"
    DOUBT = "doubt", "A provider is asked about a dead letter in doubt"
    SILENCE = "silence", "A provider is asked about a message that nothing was heard of"
    WEBHOOK = "webhook", "An endpoint is told status events"
    BEGIN = "broadcast_begin", "A scheduled broadcast begins"
    LAUNCH = "broadcast_launch", "A broadcast's messages are written"
    REQUEUE = "broadcast_requeue", "A broadcast's failed messages are queued again"
    CLEAR = "broadcast_clear", "A cancelled broadcast's messages are taken back"
    COUNT = "broadcast_count", "A broadcast's messages are counted"
    PACE = "broadcast_pace", "A broadcast's rate is noted"
    SETTLE = "broadcast_settle", "A broadcast is ended"
    MAINTAIN = "maintain", "A step of the upkeep is done; it goes on being tried"
    EXPIRE = "expire", "Messages expire that wait beyond their time"
    CHECK = "broadcast_check", "A broadcast's counters are held against its rows"


class ItemFaultManager(models.Manager["ItemFault"]):
    """Counts failures, and tells which items wait because of them."""

    def note(
        self, work: Work, item: int, *, error: str, trace: str, now: datetime, counts: bool
    ) -> ItemFault:
        """Notes a failure, in the caller's transaction. One that does not count makes the item wait
        and leaves its number of tries."""
        row, _ = self.get_or_create(
            work=work, item=item, defaults={"failed_at": now, "next_at": now}
        )
        row = self.select_for_update().get(pk=row.pk)
        row.tries = min(row.tries + int(counts), _MOST_COUNTED)
        row.error, row.trace, row.failed_at = error[:200], trace, now
        row.set_aside = row.tries >= TRIES
        row.next_at = now + (PROBE if row.set_aside else PAUSES[max(row.tries - 1, 0)])
        row.save()
        return row

    def waiting(self, work: Work, now: datetime) -> QuerySet[ItemFault]:
        """The items that may not be tried now."""
        return self.filter(work=work, next_at__gt=now)

    def may_be_tried(self, rows: QuerySet[Row], work: Work, now: datetime) -> QuerySet[Row]:
        """The rows without those that wait because of a failure, or are set aside."""
        return rows.exclude(Exists(self.waiting(work, now).filter(item=OuterRef("pk"))))


class ItemFault(models.Model):
    """An item that failed. next_at: when it is tried again.

    error: the exception's type and place, without its text, which may hold personal data; the log
    has it under the trace.
    """

    work = models.CharField(max_length=20, choices=Work.choices)
    item = models.BigIntegerField()
    tries = models.SmallIntegerField(default=0)
    error = models.CharField(max_length=200, blank=True)
    trace = models.CharField(max_length=12, blank=True)
    failed_at = models.DateTimeField(db_index=True)
    next_at = models.DateTimeField()
    set_aside = models.BooleanField(default=False)

    objects: ClassVar[ItemFaultManager] = ItemFaultManager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["work", "item"], name="item_fault_once")]
        indexes = [
            models.Index(
                fields=["work", "id"], condition=Q(set_aside=True), name="item_fault_set_aside"
            )
        ]

    def __str__(self) -> str:
        return f"{self.work} {self.item}: {self.tries} failures"
