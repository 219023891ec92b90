"""Reads counts over spans of time: rollups and what they do not include yet, in one snapshot.

One statement reads all, so a rollup that commits meanwhile is seen whole or not at all.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from directory.moments import read_stored
from notifications.domain.analytics.counts import COUNTS, Cohort, bit_changes
from notifications.domain.analytics.periods import Grain, Piece, Span, pieces_of
from notifications.features.analytics.rollup import templates_of
from notifications.models.analytics.delta import unpacked_counts
from notifications.models.analytics.rollup import stored
from notifications.models.delivery.hot_postgres import array

Counts = dict[str, int]

_SPAN_COLUMNS = ("channel", "template_id")
_ROLLUP_COLUMNS = (
    "channel",
    "template_id",
    "template_version_id",
    "provider",
    "source",
    "variant",
)
GROUPINGS = _ROLLUP_COLUMNS
"""By what counts may be grouped."""

_PIECES = {
    "postgresql": "unnest(%s::int[], %s::text[], %s::timestamptz[], %s::timestamptz[])"
    " AS piece(bucket, grain, lo, hi)",
    "sqlite": "(SELECT value ->> 0 AS bucket, value ->> 1 AS grain, value ->> 2 AS lo,"
    " value ->> 3 AS hi FROM json_each(%s)) AS piece",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which counts to read, and by what to group them."""

    buckets: Sequence[Span]
    #: Some of GROUPINGS.
    by: tuple[str, ...] = ("channel",)
    #: Some of COUNTS. Those that are not asked for cost time.
    counts: tuple[str, ...] = COUNTS
    #: Only this channel, template or the like: values by GROUPINGS; a tuple for several values.
    only: Mapping[str, Any] = field(default_factory=dict)

    @property
    def needs_cohorts(self) -> bool:
        """Whether the sums by hour and day lack a column that is asked for."""
        return not set(_SPAN_COLUMNS).issuperset({*self.by, *self.only})


Key = tuple[Any, ...]
Found = dict[int, dict[Key, Counts]]
"""Counts by the number of a bucket, then by the values of the grouping."""


def read_counts(selection: Selection) -> Found:
    """Returns the counts of a selection. Groups without a count are missing."""
    found: Found = defaultdict(lambda: defaultdict(dict))
    late: list[tuple[datetime, Cohort, Counts]] = []
    for kind, bucket, *rest in _rows(selection):
        groups, numbers = rest[: len(selection.by)], rest[len(selection.by) : -2]
        at, text = rest[-2:]
        if kind == "rollup":
            _add(found[bucket][tuple(groups)], zip(selection.counts, numbers, strict=True))
        elif kind == "delta":
            late += [(column_time(at), cohort, counts) for cohort, counts in unpacked_counts(text)]
        else:
            late.append((column_time(at), *_engagement(text)))
    _add_late(found, late, selection)
    return {
        bucket: {key: counts for key, counts in groups.items() if any(counts.values())}
        for bucket, groups in found.items()
    }


def several(value: Any) -> tuple[Any, ...]:
    """Returns the values that a selection asks for."""
    return value if isinstance(value, tuple) else (value,)


def _add(into: Counts, counts: Iterable[tuple[str, Any]]) -> None:
    for name, number in counts:
        if number:
            into[name] = into.get(name, 0) + int(number)


def _add_late(
    found: Found, late: Iterable[tuple[datetime, Cohort, Counts]], selection: Selection
) -> None:
    """Adds what the rollups do not include yet."""
    rows, starts = list(late), [bucket.start for bucket in selection.buckets]
    wanted = {name: frozenset(several(value)) for name, value in selection.only.items()}
    templates = templates_of({cohort.template_version_id for _, cohort, _ in rows})
    for moment, cohort, counts in rows:
        version = cohort.template_version_id or 0
        values = {
            **cohort._asdict(),
            "template_version_id": version,
            "template_id": templates.get(version, 0),
        }
        if any(values[name] not in allowed for name, allowed in wanted.items()):
            continue
        number = bisect_right(starts, moment) - 1
        if number >= 0 and moment < selection.buckets[number].end:
            key = tuple(values[name] for name in selection.by)
            asked = [(name, counts[name]) for name in selection.counts if name in counts]
            _add(found[number][key], asked)


def _engagement(text: str) -> tuple[Cohort, Counts]:
    channel, version, provider, source, variant, flags, counted = json.loads(text)
    return Cohort(channel, version, provider, source, variant), dict(bit_changes(flags, counted))


def _rows(selection: Selection) -> list[tuple[Any, ...]]:
    """Returns (kind, bucket, the grouping, COUNTS, time, JSON) of everything, in one statement."""
    texts, values = [], []
    pieces = _pieces_of(selection)
    for table, some in pieces.items():
        if some:
            text, bound = _sums(table, some, selection)
            texts.append(text)
            values += bound
    blank = "".join([", NULL"] * len(selection.by))
    zeros = ", ".join(["0"] * len(selection.counts))
    first, last = selection.buckets[0].start, selection.buckets[-1].end
    between = [stored(first), stored(last)]
    for kind, source in (("delta", _DELTAS), ("engagement", _ENGAGEMENT[connection.vendor])):
        texts.append(f"SELECT '{kind}', 0{blank}, {zeros}, {source}")
        values += between
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(texts), values)
        return list(cursor.fetchall())


_DELTAS = "quarter, counts FROM notifications_metricdelta WHERE quarter >= %s AND quarter < %s"
_FIELDS = "channel, template_version_id, provider, source, variant, flags, counted"
_UNCOUNTED = "WHERE NOT (flags = counted) AND sent_quarter >= %s AND sent_quarter < %s"
"""The first condition is that of the index `analytics_uncounted`, in the words of the index."""
_ENGAGEMENT = {
    "postgresql": f"sent_quarter, json_build_array({_FIELDS})::text"
    f" FROM notifications_notificationanalytics {_UNCOUNTED}",
    # SQLite would prefer the index of all quarters, and read what is counted, too.
    "sqlite": f"sent_quarter, json_array({_FIELDS}) FROM notifications_notificationanalytics"
    f" INDEXED BY analytics_uncounted {_UNCOUNTED}",
}


def _pieces_of(selection: Selection) -> dict[str, list[Piece]]:
    """Returns the pieces to read of each table."""
    if selection.needs_cohorts:
        whole = [Piece(n, Grain.QUARTER, *span) for n, span in enumerate(selection.buckets)]
        return {"notifications_metricrollup": whole}
    pieces = pieces_of(selection.buckets)
    return {
        "notifications_metricrollup": [p for p in pieces if p.grain is Grain.QUARTER],
        "notifications_metricspan": [p for p in pieces if p.grain is not Grain.QUARTER],
    }


def _sums(table: str, pieces: Sequence[Piece], selection: Selection) -> tuple[str, list[Any]]:
    """Returns a SELECT of the sums over pieces, by bucket and grouping, with its values.

    LATERAL makes PostgreSQL read one range of the index for each piece, whatever its statistics.
    """
    spans = table == "notifications_metricspan"
    time = "starts" if spans else "quarter"
    where = [f"{table}.{time} >= piece.lo", f"{table}.{time} < piece.hi"]
    if spans:
        where.insert(0, f"{table}.grain = piece.grain")
    where += [
        f"{name} IN ({', '.join(['%s'] * len(several(value)))})"
        for name, value in selection.only.items()
    ]
    groups = "".join(f", {name}" for name in selection.by)
    sums = ", ".join(f"sum({name})" for name in selection.counts)
    parts = ", ".join(f"sum({name}) AS {name}" for name in selection.counts)
    columns = ", ".join((*selection.by, parts))
    inner = f"SELECT {columns} FROM {table} WHERE {' AND '.join(where)}"  # noqa: S608
    inner += f" GROUP BY {groups[2:]}" if groups else ""
    given = [each for value in selection.only.values() for each in several(value)]
    if connection.vendor == "postgresql":
        text = (
            f"SELECT 'rollup', bucket{groups}, {sums}, NULL::timestamptz, NULL::text"  # noqa: S608
            f" FROM {_PIECES['postgresql']} CROSS JOIN LATERAL ({inner}) AS part"
            f" GROUP BY bucket{groups}"
        )
        bounds = [array(column) for column in zip(*map(_bound, pieces), strict=True)]
        return text, [*bounds, *given]
    text = (
        f"SELECT 'rollup', bucket{groups}, {sums}, NULL, NULL FROM {_PIECES['sqlite']}"  # noqa: S608
        f" CROSS JOIN {table} WHERE {' AND '.join(where)} GROUP BY bucket{groups}"
    )
    return text, [json.dumps([_bound(piece) for piece in pieces]), *given]


def _bound(piece: Piece) -> tuple[Any, ...]:
    return piece.bucket, piece.grain.value, stored(piece.start), stored(piece.end)


def column_time(value: Any) -> datetime:
    """Returns a column's time. SQLite has it as naive text."""
    moment: datetime = read_stored(value) if isinstance(value, str) else value
    return moment
