"""Failed items of periodic work.

After three failures an item is set aside until a person resumes it. Meanwhile it is attempted once
a day, because the cause may have been fixed; a campaign and a series of mails every quarter of an
hour.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar, TypeVar

from django.db import models
from django.db.models import Exists, OuterRef, Q, QuerySet

Row = TypeVar("Row", bound=models.Model)
TRIES = 3
_MOST_COUNTED = 30_000
PAUSES = (timedelta(minutes=1), timedelta(minutes=5))
"""How long an item waits after its first and after its second failure."""
PROBE = timedelta(days=1)
"""How often an item that is set aside is attempted."""


class Work(models.TextChoices):
    """The kinds of periodic work. Each says what is done, and of which table the item is."""

    RECEIPT = "receipt", "A provider's callback is applied"
    DIGEST = "digest", "A digest is sent"
    SCHEDULE = "schedule", "The next occurrence of a series is made, in one zone"
    STUCK = "stuck", "A scheduled notification that waits in no batch is queued again"
    CLEAN_UP = "clean_up", "A cancelled notification is deleted"
    DOUBT = "doubt", "A provider is asked about an uncertain dead letter"
    SILENCE = "silence", "A provider is asked about a message without a receipt"
    WEBHOOK = "webhook", "Status events are posted to an endpoint"
    BEGIN = "broadcast_begin", "A scheduled broadcast begins"
    LAUNCH = "broadcast_launch", "A broadcast's messages are written"
    REQUEUE = "broadcast_requeue", "A broadcast's failed messages are queued again"
    CLEAR = "broadcast_clear", "A cancelled broadcast's messages are cancelled"
    COUNT = "broadcast_count", "A broadcast's messages are counted"
    PACE = "broadcast_pace", "A broadcast's rate is noted"
    SETTLE = "broadcast_settle", "A broadcast is ended"
    CAMPAIGN = "campaign", "A campaign begins, or goes on"
    MAIL_SERIES = "mail_series", "People of a series of mails are found, sent the next or let go"
    MAINTAIN = "maintain", "A step of the upkeep is done; it is attempted every minute"
    RETAIN = "retain", "Rows are emptied or deleted by their age; it is attempted every minute"
    ERASE = "erase", "A person's or an address's data is erased"
    EXPORT = "export", "A part of the export of a person's data is written"
    EXPIRE = "expire", "Messages past their expiry time expire"
    SNOOZE = "snooze", "A person's snoozed notifications return to the inbox"
    CHECK = "broadcast_check", "A broadcast's counters are compared with its rows"


_PROBES = {
    Work.CAMPAIGN: timedelta(minutes=15),
    Work.MAIL_SERIES: timedelta(minutes=15),
}
"""How often items of other works are attempted: people wait for their mails at a time."""


class ItemFaultManager(models.Manager["ItemFault"]):
    """Counts failures, and finds the items that wait because of them."""

    def note(
        self, work: Work, item: int, *, error: str, trace: str, now: datetime, counts: bool
    ) -> ItemFault:
        """Notes a failure, in the caller's transaction.

        counts: False makes the item wait without increasing `tries`.
        """
        row, _ = self.get_or_create(
            work=work, item=item, defaults={"failed_at": now, "next_at": now}
        )
        row = self.select_for_update().get(pk=row.pk)
        row.tries = min(row.tries + int(counts), _MOST_COUNTED)
        row.error, row.trace, row.failed_at = error[:200], trace, now
        row.set_aside = row.tries >= TRIES
        probe = _PROBES.get(work, PROBE)
        row.next_at = now + (probe if row.set_aside else PAUSES[max(row.tries - 1, 0)])
        row.save()
        return row

    def waiting(self, work: Work, now: datetime) -> QuerySet[ItemFault]:
        """Returns the failures whose items must still wait."""
        return self.filter(work=work, next_at__gt=now)

    def runnable(self, rows: QuerySet[Row], work: Work, now: datetime) -> QuerySet[Row]:
        """Returns the rows without those that must wait because of a failure."""
        return rows.exclude(Exists(self.waiting(work, now).filter(item=OuterRef("pk"))))


class ItemFault(models.Model):
    """An item that failed."""

    work = models.CharField(max_length=20, choices=Work.choices)
    #: The primary key of the item's row; the table follows from `work`.
    item = models.BigIntegerField()
    #: How many attempts failed.
    tries = models.SmallIntegerField(default=0)
    #: The exception's type and place. Its text may hold personal data: only the log has it.
    error = models.CharField(max_length=200, blank=True)
    #: The id under which the log has the whole failure.
    trace = models.CharField(max_length=12, blank=True)
    failed_at = models.DateTimeField(db_index=True)
    #: When the item is attempted again.
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
