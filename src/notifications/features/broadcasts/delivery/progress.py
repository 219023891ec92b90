"""Reads how far a broadcast has come: from one row, whatever the number of recipients."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count

from notifications.domain.broadcast_lifecycle import (
    BroadcastStatus,
    RecipientCounts,
    RecipientState,
)
from notifications.domain.broadcast_pace import Moment, eta_seconds, rate_per_second
from notifications.domain.channels import Priority, lane_for
from notifications.domain.errors import NotFound
from notifications.models import Broadcast, BroadcastRecipient, DeliveryBatch

_MOST_EXAMINED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A broadcast's counts.

    At every instant total_recipients is the sum of the six counts that follow it.
    """

    id: int
    status: str
    total_recipients: int
    sent_count: int
    failed_count: int
    pending_count: int
    suppressed_count: int
    uncertain_count: int
    cancelled_count: int
    progress_pct: int
    #: The most frequent reason of failure, `40 failed: Network timeout`; empty without failures.
    error_summary: str
    created_at: datetime
    sent_at: datetime | None
    completed_at: datetime | None
    #: None where it is unknown.
    eta_seconds: int | None
    rate_per_second: float


def progress(broadcast_id: int, *, now: datetime) -> Progress:
    """Returns how far a broadcast has come.

    Raises:
        NotFound: unknown_broadcast.
    """
    row = Broadcast.objects.filter(pk=broadcast_id).defer("error_log", "target_filter").first()
    if row is None:
        raise NotFound(f"Broadcast {broadcast_id} not found", code="unknown_broadcast")
    tally = tally_of(row)
    rate = _rate(row, tally, now=now)
    sending = row.status == BroadcastStatus.SENDING
    return Progress(
        id=row.pk,
        status=row.status,
        total_recipients=tally.total,
        sent_count=tally.sent,
        failed_count=tally.failed,
        pending_count=tally.pending,
        suppressed_count=tally.suppressed,
        uncertain_count=tally.uncertain,
        cancelled_count=tally.cancelled,
        progress_pct=tally.progress_pct(row.status),
        error_summary=_summary(row, tally.failed),
        created_at=row.created_at,
        sent_at=row.sent_at,
        completed_at=row.completed_at,
        eta_seconds=eta_seconds(tally.pending, rate, last_due_s=_last_due_s(row, now))
        if sending
        else None,
        rate_per_second=rate,
    )


def tally_of(broadcast: Broadcast) -> RecipientCounts:
    """Returns a broadcast's counts.

    Where a caller wrote the rows itself and never launched it, the counts are in the broadcast's
    columns, in its recipients' rows or in both: then the greater ones count.
    """
    own = broadcast.tally
    if broadcast.job_id is not None:
        return own
    rows = BroadcastRecipient.objects.filter(broadcast=broadcast).order_by()
    states = dict(rows.values_list("state").annotate(Count("pk")))
    counts = {
        state.value: max(getattr(own, state.value), states.get(state.value, 0))
        for state in RecipientState
        if state is not RecipientState.PENDING
    }
    total = max(own.total, sum(states.values()), sum(counts.values()))
    return RecipientCounts(total=total, **counts)


def _last_due_s(broadcast: Broadcast, now: datetime) -> float:
    """Returns in how many seconds the last of its batches is due; reads one row of an index."""
    lane = lane_for(Priority(broadcast.priority), mass=True)
    rows = DeliveryBatch.objects.filter(lane=lane, source=broadcast.source).order_by("-due_at")
    due_at = rows.values_list("due_at", flat=True).first()
    return (due_at - now).total_seconds() if due_at else 0.0


def _rate(broadcast: Broadcast, tally: RecipientCounts, *, now: datetime) -> float:
    if broadcast.status != BroadcastStatus.SENDING:
        return 0.0
    pace: list[Moment] = list(broadcast.pace)
    if not pace and broadcast.sent_at is not None:
        pace = [(broadcast.sent_at.timestamp(), 0)]
    return rate_per_second(pace, tally.total - tally.pending, at=now.timestamp())


def _summary(broadcast: Broadcast, failed: int) -> str:
    if not failed:
        return ""
    reasons = broadcast.error_reasons or _reasons_of_rows(broadcast.pk)
    if not reasons:
        return f"{failed} failed"
    return f"{failed} failed: {max(reasons, key=lambda reason: reasons[reason])}"


def _reasons_of_rows(broadcast_id: int) -> Counter[str]:
    """Counts the reasons of a few failed recipients, for rows that a caller wrote itself."""
    rows = BroadcastRecipient.objects.filter(broadcast=broadcast_id, state=RecipientState.FAILED)
    errors = rows.order_by("recipient").values_list("error", flat=True)[:_MOST_EXAMINED]
    return Counter(error for error in errors if error)
