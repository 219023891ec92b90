"""What changed in the counts and is not in the rollups yet. Rows are appended, never updated.

Many workers record slices at once. Each appends a row in the transaction of its record, and one
process adds the rows to the rollups (features/analytics/rollup.py). So there is no row that all
workers write, and a record that is repeated after a lost commit counts nothing twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar

import msgspec
from django.db import connection, models

from notifications.domain.analytics.counts import Cohort, CountedState

Counts = dict[str, int]
Changes = dict[datetime, dict[Cohort, Counts]]
"""Changes of counts, by quarter and cohort."""

INSERT_DELTAS = "INSERT INTO notifications_metricdelta (quarter, counts) VALUES"
"""The beginning of the statement; the rows of `delta_rows` follow."""
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[tuple[str, int | None, str, str, str, dict[str, int]]]).decode


def packed_counts(cohorts: Mapping[Cohort, Counts]) -> str:
    """Returns the counts of one quarter as the JSON that a row stores."""
    return _encode([(*cohort, counts) for cohort, counts in cohorts.items()]).decode()


def unpacked_counts(text: str) -> list[tuple[Cohort, Counts]]:
    """Returns what `packed_counts` packed."""
    return [(Cohort(*fields), counts) for *fields, counts in _decode(text)]  # type: ignore[arg-type]


def delta_rows(changes: Changes) -> list[tuple[Any, str]]:
    """Returns the values of the rows to insert: one for each quarter."""
    adapted = connection.ops.adapt_datetimefield_value
    return [(adapted(quarter), packed_counts(counts)) for quarter, counts in changes.items()]


class DeltaManager(models.Manager["MetricDelta"]):
    """Appends rows."""

    def append(self, changes: Changes) -> None:
        """Writes one row for each quarter, in the caller's transaction."""
        rows = delta_rows(changes)
        if not rows:
            return
        marks = ", ".join(["(%s, %s)"] * len(rows))
        with connection.cursor() as cursor:
            cursor.execute(f"{INSERT_DELTAS} {marks}", [value for row in rows for value in row])


class MetricDelta(models.Model):
    """Changes of the counts of one quarter of an hour."""

    id = models.BigAutoField(primary_key=True)
    #: The beginning of the quarter, in UTC: of `sent_at`, for late receipts, too.
    quarter = models.DateTimeField()
    #: JSON: `[[channel, template version, provider, source, variant, {count: change}]]`.
    counts = models.TextField()

    objects: ClassVar[DeltaManager] = DeltaManager()

    def __str__(self) -> str:
        return f"delta {self.pk} of {self.quarter:%Y-%m-%d %H:%M}"


def difference(
    before: Iterable[CountedState | None], after: Iterable[CountedState | None]
) -> Changes:
    """Returns by how much the counts change when messages go from one state to another."""
    sums: dict[datetime, dict[Cohort, Counts]] = defaultdict(lambda: defaultdict(dict))
    for states, step in ((before, -1), (after, 1)):
        for state in states:
            if state is None:
                continue
            counts = sums[state.quarter][state.cohort]
            for name in state.names:
                counts[name] = counts.get(name, 0) + step
    return without_zeros(sums)


def without_zeros(changes: Mapping[datetime, Mapping[Cohort, Counts]]) -> Changes:
    """Returns the changes without counts, cohorts and quarters in which nothing changes."""
    found: Changes = {}
    for quarter, cohorts in changes.items():
        for cohort, counts in cohorts.items():
            left = {name: number for name, number in counts.items() if number}
            if left:
                found.setdefault(quarter, {})[cohort] = left
    return found
