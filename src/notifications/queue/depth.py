"""Reads how much waits in each lane and how late it is, with a bound on the rows read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.db.models import Sum

from notifications.domain.channels import Lane
from notifications.infra import clock
from notifications.models import DeliveryBatch
from notifications.models.delivery import hot_postgres, hot_sqlite
from notifications.queue.batches import statements

_MOST_BATCHES = 50_000
"""At most so many batches of a lane are counted. With more, the figure is a lower bound."""
_MOST_LATE = 10_000
"""How many late batches are counted, and how many batches of one source are scanned for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PausedWork:
    """Work that is never late: stopped sources, stopped or failing channels."""

    everything: bool = False
    channels: Sequence[str] = ()
    sources: frozenset[str] = frozenset()


@dataclass(slots=True, kw_only=True)
class LaneDepth:
    """How many messages of a lane wait."""

    queued: int = 0
    #: Due for longer than the bound of the lane, and not leased.
    late: int = 0
    #: For how many seconds the oldest late message has been due.
    oldest_s: float = 0.0


def lane_depths(
    late_after: Mapping[Lane, float], paused: PausedWork, *, at: datetime | None = None
) -> dict[Lane, LaneDepth]:
    """Returns the depth of each lane.

    late_after: bounds in seconds. at: replaces the clock of the database.
    """
    at = at or clock.frozen()
    found = {lane: LaneDepth(queued=_queued(lane)) for lane in Lane}
    if paused.everything:
        return found
    sources: dict[Lane, list[str]] = {}
    for lane, source in statements().sources(list(Lane)):
        if source not in paused.sources:
            sources.setdefault(Lane(lane), []).append(source)
    read = _late_postgres if connection.vendor == "postgresql" else _late_sqlite
    for name, of_lane in sources.items():
        depth = found[name]
        depth.late, depth.oldest_s = read(name, of_lane, late_after[name], paused.channels, at)
    return found


def _queued(lane: Lane) -> int:
    some = DeliveryBatch.objects.filter(lane=lane).order_by().values("size")[:_MOST_BATCHES]
    return int(some.aggregate(total=Sum("size"))["total"] or 0)


# Each source is an index scan from its oldest batch; both ends are bounded.
_OF_SOURCE = """
  SELECT w.size, w.due_at FROM (
    SELECT size, due_at, channel, owner, lease_until FROM notifications_deliverybatch
    WHERE lane = %(lane)s AND source = s.source
      AND due_at <= n.at - make_interval(secs => %(after)s)
    ORDER BY due_at, id LIMIT %(most)s
  ) w
  WHERE (w.owner IS NULL OR w.lease_until <= n.at) AND w.channel <> ALL (%(held)s::text[])
"""
_LATE = f"""
WITH n AS MATERIALIZED (SELECT coalesce(%(at)s::timestamptz, clock_timestamp()) AS at),
s AS MATERIALIZED (SELECT unnest(%(sources)s::text[]) AS source)
SELECT coalesce((SELECT sum(size) FROM (
         SELECT late.size FROM n, s CROSS JOIN LATERAL ({_OF_SOURCE}) AS late LIMIT %(most)s
       ) AS counted), 0),
       coalesce((SELECT extract(epoch FROM n.at - oldest.due_at) FROM n, (
         SELECT min(first.due_at) AS due_at
         FROM n, s CROSS JOIN LATERAL ({_OF_SOURCE} LIMIT 1) AS first
       ) AS oldest), 0)
"""  # noqa: S608 -- constant text


def _late_postgres(
    lane: Lane, sources: Sequence[str], after: float, held: Sequence[str], at: datetime | None
) -> tuple[int, float]:
    with hot_postgres.raw() as cursor:
        cursor.execute(
            _LATE,
            {
                "at": at,
                "lane": str(lane),
                "sources": list(sources),
                "after": after,
                "held": list(held),
                "most": _MOST_LATE,
            },
        )
        row = cursor.fetchone()
    assert row is not None
    return int(row[0]), float(row[1])


_LATE_OF_SOURCE = """
SELECT size, due_at FROM (
  SELECT size, due_at, channel, owner, lease_until FROM notifications_deliverybatch
  WHERE lane = ? AND source = ? AND due_at <= ? ORDER BY due_at, id LIMIT ?
)
WHERE (owner IS NULL OR lease_until <= ?) AND channel NOT IN (SELECT value FROM json_each(?))
LIMIT ?
"""


def _late_sqlite(
    lane: Lane, sources: Sequence[str], after: float, held: Sequence[str], at: datetime | None
) -> tuple[int, float]:
    now = at or datetime.now(UTC)
    bound = hot_sqlite.time_value(now - timedelta(seconds=after))
    count, left, oldest = 0, _MOST_LATE, now
    for source in sources:
        rows = hot_sqlite.raw().execute(
            _LATE_OF_SOURCE,
            (
                str(lane),
                source,
                bound,
                _MOST_LATE,
                hot_sqlite.time_value(now),
                json.dumps(list(held)),
                max(1, left),
            ),
        )
        found = rows.fetchall()
        if found:
            first = hot_sqlite.parse_time(found[0][1])
            assert first is not None
            oldest = min(oldest, first)
            count += sum(size for size, _ in found[:left])
            left -= len(found)
    return count, (now - oldest).total_seconds()
