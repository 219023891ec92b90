"""The queue's statements for PostgreSQL: SKIP LOCKED, `unnest`, the database's clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from notifications.models import pack_keys
from notifications.models.hot_postgres import raw
from notifications.queue.leases import Lease, LeaseRequest, NewBatch

_NOW = "coalesce(%s::timestamptz, clock_timestamp())"


def _all(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    with raw() as cursor:
        cursor.execute(sql, params)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _run(sql: str, params: Sequence[Any]) -> None:
    with raw() as cursor:
        cursor.execute(sql, params)


def insert_batches(batches: Sequence[NewBatch], at: datetime | None) -> list[int]:
    columns: list[list[Any]] = [[], [], [], [], [], [], [], []]
    for batch in batches:
        values = (
            batch.lane,
            batch.channel,
            batch.source,
            batch.due_at,
            pack_keys(batch.keys),
            len(batch.keys),
            batch.takeovers,
            batch.isolated,
        )
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    rows = _all(
        "INSERT INTO notifications_deliverybatch (lane, channel, source, due_at, members, size,"  # noqa: S608
        " takeovers, isolated, fence, journal)"
        f" SELECT lane, channel, source, coalesce(due_at, {_NOW}), members, size, takeovers,"
        " isolated, 0, '' FROM unnest(%s::text[], %s::text[], %s::text[], %s::timestamptz[],"
        " %s::text[], %s::int[], %s::smallint[], %s::bool[]) WITH ORDINALITY"
        " AS v(lane, channel, source, due_at, members, size, takeovers, isolated, place)"
        " ORDER BY place RETURNING id",
        [at, *columns],
    )
    return [row[0] for row in rows]


# A loose index scan in each lane: one probe a source, however many batches each has.
_SOURCES = """
SELECT l.lane, found.source FROM unnest(%s::text[]) AS l(lane) CROSS JOIN LATERAL (
  WITH RECURSIVE seen AS (
    (SELECT source FROM notifications_deliverybatch WHERE lane = l.lane ORDER BY source LIMIT 1)
    UNION ALL
    SELECT (SELECT b.source FROM notifications_deliverybatch b
            WHERE b.lane = l.lane AND b.source > seen.source ORDER BY b.source LIMIT 1)
    FROM seen WHERE seen.source IS NOT NULL
  )
  SELECT source FROM seen WHERE source IS NOT NULL LIMIT 1000
) AS found
"""


def sources(lanes: Sequence[str]) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in _all(_SOURCES, [list(lanes)])]


_LEASE = f"""
WITH locked AS (
  SELECT b.id, b.size, s.turn, b.due_at
  FROM unnest(%s::text[]) WITH ORDINALITY AS s(source, turn)
  CROSS JOIN LATERAL (
    SELECT id, size, due_at FROM notifications_deliverybatch
    WHERE lane = %s AND source = s.source AND due_at <= {_NOW}
      AND owner IS NULL AND isolated = %s AND channel <> ALL (%s::text[])
    ORDER BY due_at, id LIMIT %s FOR UPDATE SKIP LOCKED
  ) b
), picked AS (
  SELECT id, sum(size) OVER (ORDER BY turn, due_at, id) - size AS before FROM locked
)
UPDATE notifications_deliverybatch b
SET owner = %s, fence = b.fence + 1,
    lease_until = {_NOW} + make_interval(secs => %s)
FROM picked WHERE b.id = picked.id AND picked.before < %s
RETURNING b.id, b.lane, b.channel, b.source, b.fence, b.members, b.size, b.takeovers, b.isolated
"""  # noqa: S608 -- constant text


def lease(request: LeaseRequest, at: datetime | None) -> list[Lease]:
    each = max(1, -(-request.most // max(1, len(request.sources))))
    rows = _all(
        _LEASE,
        [
            list(request.sources),
            request.lane,
            at,
            request.isolated,
            list(request.without_channels),
            1 if request.isolated else each,
            request.owner,
            at,
            request.seconds,
            request.budget,
        ],
    )
    return [Lease(*row) for row in rows]


def hold(leases: Sequence[Lease], owner: str, at: datetime | None) -> set[int]:
    rows = _all(
        "SELECT b.id FROM notifications_deliverybatch b"  # noqa: S608 -- constant text
        " JOIN unnest(%s::bigint[], %s::int[]) AS v(id, fence) ON v.id = b.id AND v.fence = b.fence"
        f" WHERE b.owner = %s AND b.lease_until > {_NOW} ORDER BY b.id FOR UPDATE OF b",
        [[held.batch_id for held in leases], [held.fence for held in leases], owner, at],
    )
    return {row[0] for row in rows}


def write_journals(journals: Mapping[int, str]) -> None:
    _run(
        "UPDATE notifications_deliverybatch b SET journal = v.journal"
        " FROM unnest(%s::bigint[], %s::text[]) AS v(id, journal) WHERE b.id = v.id",
        [list(journals), list(journals.values())],
    )


def delete(batch_ids: Sequence[int]) -> None:
    _run("DELETE FROM notifications_deliverybatch WHERE id = ANY(%s)", [list(batch_ids)])


def renew(leases: Sequence[Lease], owner: str, seconds: float, at: datetime | None) -> set[int]:
    rows = _all(
        "UPDATE notifications_deliverybatch b"  # noqa: S608 -- constant text
        f" SET lease_until = {_NOW} + make_interval(secs => %s)"
        " FROM unnest(%s::bigint[], %s::int[]) AS v(id, fence)"
        " WHERE b.id = v.id AND b.fence = v.fence AND b.owner = %s"
        f" AND b.lease_until > {_NOW} RETURNING b.id",
        [
            at,
            seconds,
            [held.batch_id for held in leases],
            [held.fence for held in leases],
            owner,
            at,
        ],
    )
    return {row[0] for row in rows}


def release(leases: Sequence[Lease], owner: str, due_at: datetime | None) -> None:
    _run(
        "UPDATE notifications_deliverybatch b SET owner = NULL, lease_until = NULL,"
        " due_at = coalesce(%s::timestamptz, b.due_at)"
        " FROM unnest(%s::bigint[], %s::int[]) AS v(id, fence)"
        " WHERE b.id = v.id AND b.fence = v.fence AND b.owner = %s AND b.journal = ''",
        [due_at, [held.batch_id for held in leases], [held.fence for held in leases], owner],
    )


def expired(owner: str, at: datetime | None, limit: int) -> list[int]:
    rows = _all(
        "SELECT id FROM notifications_deliverybatch"  # noqa: S608 -- constant text
        f" WHERE owner IS NOT NULL AND (%s = '' OR owner = %s) AND lease_until <= {_NOW}"
        " ORDER BY id LIMIT %s",
        [owner, owner, at, limit],
    )
    return [row[0] for row in rows]


def claim_expired(batch_id: int, at: datetime | None) -> tuple[str, str, str, str, str, int] | None:
    rows = _all(
        "SELECT lane, channel, source, members, journal, takeovers"  # noqa: S608 -- constant text
        " FROM notifications_deliverybatch WHERE id = %s AND owner IS NOT NULL"
        f" AND lease_until <= {_NOW} FOR UPDATE SKIP LOCKED",
        [batch_id, at],
    )
    return rows[0] if rows else None


def reset(batch_id: int, takeovers: int) -> None:
    _run(
        "UPDATE notifications_deliverybatch SET owner = NULL, lease_until = NULL, journal = '',"
        " fence = fence + 1, takeovers = %s WHERE id = %s",
        [takeovers, batch_id],
    )


def expire_owner(owner: str) -> None:
    _run(
        "UPDATE notifications_deliverybatch SET lease_until = '-infinity' WHERE owner = %s", [owner]
    )


def lock_batch(batch_id: int) -> None:
    _all("SELECT id FROM notifications_deliverybatch WHERE id = %s FOR UPDATE", [batch_id])
