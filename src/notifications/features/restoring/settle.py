"""Settles what was open when a backup was made.

The service went on after the backup. What waited then may have been sent since, and the restored
database does not know. So what is due by now becomes uncertain, with a dead letter `restored`: a
late receipt settles it, an operator replays or discards it. What is due later was not sent yet.

Channels that are rows of this database are delivered: their messages were lost with the old rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from notifications.domain.broadcast_lifecycle import BroadcastStatus
from notifications.domain.campaigns.lifecycle import CampaignStatus
from notifications.domain.channels import ROW_CHANNELS
from notifications.domain.lifecycle import MessageStatus
from notifications.domain.series.lifecycle import MailSeriesStatus
from notifications.domain.series.steps import zone_days
from notifications.features.scheduling.recurring import create_due_occurrences
from notifications.features.series.finding import scanned
from notifications.features.upkeep.digests import close_due
from notifications.models import (
    Broadcast,
    BroadcastChange,
    Campaign,
    DeadLetter,
    DeliveryBatch,
    DigestBucket,
    ItemFault,
    MailSeries,
    NotificationMessage,
    QueuedTask,
    ScheduleClock,
    SeriesStatus,
    WebProcess,
    Work,
    WorkerProcess,
    change_broadcast_status,
    change_status,
    unpack_keys,
)
from notifications.models.delivery.origin import origins_of
from notifications.queue import batches, takeover

CODE = "restored"
"""The error code of dead letters of messages that were open in a backup."""
_ERROR = "it waited when the backup was made, and may have been sent since"
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_AT_ONCE = 200
_SWEEPS = 1_000
_S = BroadcastStatus


class NotFreed(Exception):
    """Batches still have owners after many sweeps: another process works on the database."""


class NotMade(Exception):
    """A digest or an occurrence of a series that is due cannot be made, and so cannot be held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledWork:
    """What was open, and is not any more."""

    #: Messages that wait for a decision, as dead letters `restored`.
    messages: int
    #: Broadcasts that were being sent: paused.
    paused: int
    #: Scheduled broadcasts whose time has passed: drafts.
    drafts: int
    #: Tasks that waited in the database: failed.
    tasks: int
    #: Digests that are set aside because they cannot be made: closed, and not sent.
    digests: int = 0
    #: Series in which a mail or a date was due: paused.
    series: int = 0
    #: Campaigns that were running: paused. Scheduled ones whose time has passed: drafts.
    campaigns: int = 0


def free_batches() -> None:
    """Takes over all batches, as after a crash. What was in flight is uncertain, or sent again by
    the crash policy of its category.

    Raises:
        NotFreed: another process works on the database.
    """
    WorkerProcess.objects.all().delete()
    WebProcess.objects.all().delete()  # with them goes who was connected when it was made
    owned = DeliveryBatch.objects.exclude(owner=None)
    for _ in range(_SWEEPS):
        if not owned.exists():
            return
        owned.update(lease_until=_LONG_AGO)
        if not takeover.sweep(everywhere=True).batches:
            break
    raise NotFreed("another process works on the restored database: stop it, and repeat")


def hold_open(*, now: datetime) -> SettledWork:
    """Holds what is due by now and was not sent according to the rows.

    Digests and series whose time has come are made first, so that they are held, too.

    Raises:
        NotMade: one of them cannot be made. The next call tries it again.
    """
    campaigns = _stop_campaigns(now)  # first: one that runs would schedule its broadcasts again
    paused, drafts = _stop_broadcasts(now)
    digests = _make_due(now)
    return SettledWork(
        messages=_hold_messages(now),
        paused=paused,
        drafts=drafts,
        tasks=_end_tasks(now),
        digests=digests,
        series=_pause_series(now),
        campaigns=campaigns,
    )


def _make_due(now: datetime) -> int:
    """Makes all occurrences and digests that are due; returns how many digests were closed unsent.

    None may be left: the processes would send it later, and nothing would hold it.
    """
    clocks = ScheduleClock.objects.filter(make_at__lte=now, series__status=SeriesStatus.ACTIVE)
    buckets = DigestBucket.objects.filter(closed_at__isnull=True, closes_at__lte=now)
    _repeat(Work.SCHEDULE, clocks, create_due_occurrences, now=now)
    _repeat(Work.DIGEST, buckets, close_due, now=now)
    set_aside = ItemFault.objects.filter(work=Work.DIGEST, set_aside=True).values("item")
    closed = buckets.filter(pk__in=set_aside).update(closed_at=now)
    left = {Work.SCHEDULE: clocks.count(), Work.DIGEST: buckets.count()}
    for work, count in left.items():
        if count:
            raise NotMade(
                f"{count:,} items of {work} are due and cannot be made: see `carillon set-aside"
                f" list --work {work}`, correct the cause, and repeat the restore"
            )
    return closed


def _repeat(work: Work, due: QuerySet[Any], make: Callable[..., int], *, now: datetime) -> None:
    """Calls `make` until each due item was made or has failed: one call does a part of many.

    What failed before is tried at once.
    """
    waiting = ItemFault.objects.waiting(work, now)
    waiting.update(next_at=now)
    while ItemFault.objects.runnable(due, work, now).exists():
        failed = waiting.count()
        if not make(now=now) and waiting.count() == failed:
            return


def _stop_campaigns(now: datetime) -> int:
    """Holds the campaigns that have begun by now: they may have been sent since, with their rest.

    Their broadcasts are held as all others are.
    """
    running = Campaign.objects.filter(status=CampaignStatus.RUNNING.value).order_by("pk")
    due = Campaign.objects.filter(status=CampaignStatus.SCHEDULED.value, begins_at__lte=now)
    with transaction.atomic():
        held = sum(row.become(CampaignStatus.PAUSED, error=_ERROR) for row in running)
        for row in due.order_by("pk"):
            held += row.become(CampaignStatus.DRAFT, begins_at=None, error=_ERROR)
    return held


def _stop_broadcasts(now: datetime) -> tuple[int, int]:
    sending = Broadcast.objects.filter(status=_S.SENDING.value)
    due = Broadcast.objects.filter(status=_S.SCHEDULED.value, scheduled_at__lte=now)
    paused = drafts = 0
    with transaction.atomic():
        for key in list(sending.values_list("pk", flat=True)):
            paused += bool(change_broadcast_status(key, _S.PAUSED, values={"pace": []}))
        for key in list(due.values_list("pk", flat=True)):
            drafts += bool(change_broadcast_status(key, _S.DRAFT, values={}))
    return paused, drafts


def _pause_series(now: datetime) -> int:
    """Pauses the series in which a mail or a date is due: people may have been sent it since.

    The dates until now are not looked for again, also where a series was paused before.
    """
    due = MailSeries.objects.with_due(now).values_list("pk", flat=True)
    to_scan = MailSeries.objects.to_scan(now).values_list("pk", flat=True)
    with transaction.atomic():
        behind = set(to_scan)
        found = MailSeries.objects.filter(pk__in=behind.union(due)).order_by("pk")
        held = sum(row.become(MailSeriesStatus.PAUSED, error=_ERROR) for row in found)
        MailSeries.objects.filter(pk__in=behind).update(**scanned(zone_days(now)))
    return held


def _hold_messages(now: datetime) -> int:
    """Holds the waiting messages of due batches, some batches in one transaction."""
    paused = Broadcast.objects.filter(status=_S.PAUSED.value).values_list("pk", flat=True)
    spared = {f"broadcast:{key}" for key in paused}
    held = last = 0
    due = DeliveryBatch.objects.filter(due_at__lte=now).exclude(channel__in=ROW_CHANNELS)
    while page := list(
        due.filter(pk__gt=last).order_by("pk").values_list("pk", "source", "members")[:_AT_ONCE]
    ):
        last = page[-1][0]
        for batch_id, source, members in page:
            if source not in spared:
                held += _hold_batch(batch_id, source, unpack_keys(members), now)
    return held


def _hold_batch(batch_id: int, source: str, members: Sequence[int], now: datetime) -> int:
    with transaction.atomic():
        batches.lock(batch_id)
        rows = NotificationMessage.objects.filter(
            pk__in=members, batch_id=batch_id, status=MessageStatus.PENDING
        )
        keys = sorted(rows.values_list("pk", flat=True))
        moved = change_status(keys, MessageStatus.UNCERTAIN, reason=CODE, at=now)
        origins = origins_of(moved)
        DeadLetter.objects.bulk_create(
            each.dead_letter(code=CODE, last_error=_ERROR, attempts=each.attempts, failed_at=now)
            for each in origins.values()
        )
        BroadcastChange.objects.append((source, each.notification_id) for each in origins.values())
        batches.statements().delete([batch_id])
    return len(moved)


def _end_tasks(now: datetime) -> int:
    waiting = QueuedTask.objects.filter(state=QueuedTask.State.WAITING)
    return waiting.update(
        state=QueuedTask.State.FAILED, ended_at=now, last_error=f"{CODE}: request it again"
    )
