"""Adds deltas and new engagement to the rollups.

A round takes rows and adds them in one transaction: deltas are deleted, rows of engagement are
marked as counted. Any number of processes may do so at once, because rows that another one has are
skipped. A process that dies loses nothing and counts nothing twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import F, QuerySet

from notifications.domain.analytics.counts import COUNTS, Cohort, bit_changes
from notifications.domain.analytics.periods import Grain, floor_to
from notifications.features.analytics.attribution import attribute_again
from notifications.features.learning.counting import (
    count_engagement,
    count_hand_overs,
    to_count,
)
from notifications.infra import clock
from notifications.models import MetricDelta, NotificationAnalytics, TemplateVersion
from notifications.models.analytics.delta import Changes, unpacked_counts, without_zeros
from notifications.models.analytics.rollup import add_to_rollups, add_to_spans

ROUND_S = 5.0
"""Seconds after which a round ends; the next one goes on."""
_AT_ONCE = {"postgresql": 1_000, "sqlite": 100}


def uncounted() -> QuerySet[NotificationAnalytics]:
    """Returns the rows whose engagement the rollups do not include yet."""
    rows = NotificationAnalytics.objects.exclude(flags=F("counted"))
    return rows.filter(sent_quarter__isnull=False)


def to_roll_up(now: datetime) -> list[QuerySet[Any]]:
    """Returns queries of which one has a row while a round has work."""
    return [MetricDelta.objects.all(), uncounted(), *to_count()]


def roll_up_due() -> int:
    """Adds all that waits, some rows a transaction; returns how many rows it took."""
    until = clock.monotonic() + ROUND_S
    taken = 0
    while count := roll_up_deltas() + count_hand_overs() + roll_up_engagement():
        taken += count
        if clock.monotonic() > until:
            break
    return taken


def roll_up_deltas() -> int:
    """Adds the oldest deltas, in one transaction; returns how many."""
    with transaction.atomic():
        waiting = MetricDelta.objects.select_for_update(skip_locked=True).order_by("pk")
        rows = list(waiting.values_list("pk", "quarter", "counts")[: _AT_ONCE[connection.vendor]])
        if rows:
            MetricDelta.objects.filter(pk__in=[row[0] for row in rows]).delete()
            add_changes(sum_of((quarter, text) for _, quarter, text in rows))
    return len(rows)


def roll_up_engagement() -> int:
    """Adds the bits of engagement that changed, in one transaction; returns the number of rows.

    What was clicked may change to which message a conversion is attributed, so that comes first, in
    a transaction of its own: it locks other rows. A row that changes meanwhile waits.
    """
    seen = list(uncounted().order_by("pk")[: _AT_ONCE[connection.vendor]])
    if not seen:
        return 0
    attribute_again(seen)
    flags = {row.pk: row.flags for row in seen}
    with transaction.atomic():
        rows = NotificationAnalytics.objects.select_for_update(skip_locked=True).order_by("pk")
        locked = [row for row in rows.filter(pk__in=list(flags)) if row.flags == flags[row.pk]]
        due = [row for row in locked if row.flags != row.counted]
        if due:
            keys = [row.pk for row in due]
            NotificationAnalytics.objects.filter(pk__in=keys).update(counted=F("flags"))
            add_changes(engagement_of(due))
            count_engagement(due)
    return len(due)


def sum_of(deltas: Iterable[tuple[datetime, str]]) -> Changes:
    """Returns the sum of deltas: (quarter, counts)."""
    sums: dict[datetime, dict[Cohort, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    for quarter, text in deltas:
        for cohort, counts in unpacked_counts(text):
            into = sums[quarter][cohort]
            for name, number in counts.items():
                into[name] = into.get(name, 0) + number
    return without_zeros(sums)


def engagement_of(rows: Iterable[NotificationAnalytics]) -> Changes:
    """Returns by how much the counts change when these rows are counted."""
    sums: dict[datetime, dict[Cohort, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        if row.sent_quarter is None:
            continue
        into = sums[row.sent_quarter][cohort_of(row)]
        for name, step in bit_changes(row.flags, row.counted):
            into[name] = into.get(name, 0) + step
    return without_zeros(sums)


def cohort_of(row: NotificationAnalytics) -> Cohort:
    """Returns the cohort of a row of engagement."""
    return Cohort(row.channel, row.template_version_id, row.provider, row.source, row.variant)


def add_changes(changes: Changes) -> None:
    """Adds changes to the rollups and to their sums, in the caller's transaction."""
    if not changes:
        return
    versions = {cohort.template_version_id for cohorts in changes.values() for cohort in cohorts}
    templates = templates_of(versions)
    rollups = []
    spans: dict[tuple[Any, ...], dict[str, int]] = defaultdict(dict)
    for quarter, cohorts in changes.items():
        for cohort, counts in cohorts.items():
            version = cohort.template_version_id or 0
            template = templates.get(version, 0)
            dims = (cohort.channel, version, cohort.provider, cohort.source, cohort.variant)
            rollups.append((quarter, *dims, template, *_values(counts)))
            for grain in (Grain.HOUR, Grain.DAY):
                key = (grain.value, floor_to(quarter, grain), cohort.channel, template)
                into = spans[key]
                for name, number in counts.items():
                    into[name] = into.get(name, 0) + number
    add_to_rollups(rollups)
    add_to_spans((*key, *_values(counts)) for key, counts in spans.items())


def templates_of(versions: Collection[int | None]) -> dict[int, int]:
    """Returns the templates of versions. A version of a deleted template has none."""
    found = TemplateVersion.objects.filter(pk__in=[version for version in versions if version])
    return dict(found.values_list("pk", "template_id"))


def _values(counts: dict[str, int]) -> tuple[int, ...]:
    return tuple(counts.get(name, 0) for name in COUNTS)
