"""The child processes of `bench insight`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet, Sum

from notifications.domain.analytics.counts import Cohort
from notifications.domain.analytics.periods import MetricInterval, period_of
from notifications.features.analytics.metrics import metrics_of
from notifications.features.analytics.rollup import roll_up_deltas
from notifications.models import MetricDelta, MetricRollup, MetricSpan
from notifications.models.analytics.delta import Changes, packed_counts

_SLICE = 100
_AT_ONCE = 5_000
_DAYS = 365
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_ZONES = ("UTC", "Europe/Paris", "America/New_York", "Asia/Kathmandu")
_CHANNELS = ("email", "in_app", "push", "sms")
_READS = 200


def _changes(numbers: random.Random, count: int) -> Iterator[tuple[datetime, dict[Any, Any]]]:
    """Yields the changes of slices: a quarter, and one to three cohorts in it."""
    for _ in range(count):
        quarter = _FIRST + timedelta(minutes=15 * numbers.randrange(_DAYS * 96))
        cohorts: dict[Cohort, dict[str, int]] = {}
        parts = numbers.randint(1, 3)
        for _ in range(parts):
            channel = numbers.choice(_CHANNELS)
            version = numbers.randint(1, 30)
            source = f"key:{numbers.randint(1, 8)}"
            cohort = Cohort(channel, version, f"{channel}-vendor", source, "")
            sent = _SLICE // parts
            cohorts[cohort] = {"sent": sent, "delivered": sent - 2, "failed": 1}
        yield quarter, cohorts


def insight_fill(messages: str) -> dict[str, Any]:
    """Writes the deltas of so many messages, and rolls them up."""
    numbers = random.Random(int(messages))
    slices, rolled_s = max(1, int(messages) // _SLICE), 0.0
    for start in range(0, slices, _AT_ONCE):
        part = min(_AT_ONCE, slices - start)
        MetricDelta.objects.bulk_create(
            MetricDelta(quarter=quarter, counts=packed_counts(cohorts))
            for quarter, cohorts in _changes(numbers, part)
        )
        began = time.monotonic()
        while roll_up_deltas():
            pass
        rolled_s += time.monotonic() - began
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
    return {"rollup_us": round(rolled_s / (slices * _SLICE) * 1e6, 3)}


def insight_read() -> dict[str, Any]:
    """Reads metrics, then the same with deltas that wait, then writes deltas."""
    numbers = random.Random(7)
    figures: dict[str, Any] = {"busy_rollup_us": _busy(numbers)}
    figures |= _percentiles("metrics", [_read(numbers) for _ in range(_READS)])
    waiting = dict(_changes(numbers, 1_000))
    MetricDelta.objects.append(waiting)
    figures |= _percentiles("waiting", [_read(numbers) for _ in range(_READS)])
    written = [_timed(lambda: _write(dict(_changes(numbers, 1)))) for _ in range(_READS)]
    figures["delta_us"] = round(sorted(written)[_READS // 2] * 1e6)
    figures["rollup_rows"] = MetricRollup.objects.count()
    return figures


def _busy(numbers: random.Random) -> float:
    """Returns the time to roll up a message, while all slices are of one quarter."""
    for _ in range(1_000):
        cohort = Cohort("email", numbers.randint(1, 4), "smtp", "key:1", "")
        MetricDelta.objects.append({_FIRST: {cohort: {"sent": _SLICE}}})
    took = _timed(lambda: [None for _ in iter(roll_up_deltas, 0)])
    return round(took / 1_000 / _SLICE * 1e6, 3)


def _read(numbers: random.Random) -> float:
    days = numbers.choice([1, 7, 30, 90, 365])
    first = _FIRST.date() + timedelta(days=numbers.randint(0, _DAYS - days))
    last = first + timedelta(days=days - 1)
    lengths = [
        None,
        MetricInterval.DAY,
        MetricInterval.WEEK,
        *([MetricInterval.HOUR] if days <= 30 else []),
    ]
    only: dict[str, Any] = numbers.choice([{}, {}, {"channel": "email"}, {"template_id": 0}])
    period = period_of(first.isoformat(), last.isoformat(), numbers.choice(_ZONES))
    return _timed(lambda: metrics_of(period, interval=numbers.choice(lengths), only=only))


def _write(changes: Changes) -> None:
    with transaction.atomic():
        MetricDelta.objects.append(changes)


def _timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _percentiles(name: str, seconds: list[float]) -> dict[str, Any]:
    ordered = sorted(seconds)
    return {
        f"{name}_p50_ms": round(ordered[len(ordered) // 2] * 1e3, 1),
        f"{name}_p95_ms": round(ordered[int(len(ordered) * 0.95)] * 1e3, 1),
    }


def insight_write(count: str, seed: str) -> dict[str, Any]:
    """Writes deltas of one message each, a transaction for every ten."""
    numbers = random.Random(int(seed))
    left = int(count)
    while left:
        part = min(left, 10)
        with transaction.atomic():
            for _ in range(part):
                quarter = _FIRST + timedelta(minutes=15 * numbers.randrange(12))
                cohort = Cohort("email", numbers.randint(1, 3), "smtp", "key:1", "")
                MetricDelta.objects.append({quarter: {cohort: {"sent": 1}}})
        left -= part
    return {"written": int(count)}


def insight_roll(total: str) -> dict[str, Any]:
    """Rolls up until so many messages are in the rollups."""
    while (_sum(MetricRollup.objects.all())) < int(total):
        roll_up_deltas()
    return {"rolled": int(total)}


def insight_sums() -> dict[str, Any]:
    """Returns the messages in each table of rollups, and how many deltas wait."""
    return {
        "waiting": MetricDelta.objects.count(),
        "quarters": _sum(MetricRollup.objects.all()),
        "hours": _sum(MetricSpan.objects.filter(grain="hour")),
        "days": _sum(MetricSpan.objects.filter(grain="day")),
    }


def _sum(rows: QuerySet[Any]) -> int:
    return int(rows.aggregate(total=Sum("sent"))["total"] or 0)
