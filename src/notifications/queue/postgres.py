"""The queue's statements for PostgreSQL: SKIP LOCKED, `unnest`, the database's clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from notifications.models import pack_keys
from notifications.models.delivery.hot_postgres import raw
from notifications.queue.leases import Abandoned, Lease, LeaseRequest, NewBatch

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
    columns: list[list[Any]] = [[], [], [], [], [], [], [], [], []]
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
            batch.expires_at,
        )
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    rows = _all(
        "INSERT INTO notifications_deliverybatch (lane, channel, source, due_at, members, size,"  # noqa: S608
        " takeovers, isolated, expires_at, fence, journal)"
        f" SELECT lane, channel, source, coalesce(due_at, {_NOW}), members, size, takeovers,"
        " isolated, expires_at, 0, '' FROM unnest(%s::text[], %s::text[], %s::text[],"
        " %s::timestamptz[], %s::text[], %s::int[], %s::smallint[], %s::bool[], %s::timestamptz[])"
        " WITH ORDINALITY AS v(lane, channel, source, due_at, members, size, takeovers, isolated,"
        " expires_at, place)"
        " ORDER BY place RETURNING id",
        [at, *columns],
    )
    return [row[0] for row in rows]


# A loose index scan in each lane: one probe for each source, however many batches it has.
_SOURCES_THAT = """
SELECT l.lane, found.source FROM unnest(%s::text[]) AS l(lane) CROSS JOIN LATERAL (
  WITH RECURSIVE seen AS (
    (SELECT source FROM notifications_deliverybatch WHERE lane = l.lane ORDER BY source LIMIT 1)
    UNION ALL
    SELECT (SELECT b.source FROM notifications_deliverybatch b
            WHERE b.lane = l.lane AND b.source > seen.source ORDER BY b.source LIMIT 1)
    FROM seen WHERE seen.source IS NOT NULL
  )
  SELECT source FROM seen WHERE source IS NOT NULL AND {condition} LIMIT 1000
) AS found
"""
_SOURCES = _SOURCES_THAT.format(condition="true")
_DUE_SOURCES = _SOURCES_THAT.format(
    condition=f"""EXISTS (
    SELECT 1 FROM notifications_deliverybatch b WHERE b.lane = l.lane
    AND b.source = seen.source AND b.due_at <= {_NOW} AND b.owner IS NULL)"""  # noqa: S608 -- constant text
)


def sources(lanes: Sequence[str]) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in _all(_SOURCES, [list(lanes)])]


def due_sources(lanes: Sequence[str], at: datetime | None) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in _all(_DUE_SOURCES, [list(lanes), at])]


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
    """One statement is a transaction by itself: BEGIN and COMMIT would be two more round trips."""
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


_OURS = (
    " FROM notifications_deliverybatch b"
    " JOIN unnest(%s::bigint[], %s::int[]) AS v(id, fence) ON v.id = b.id AND v.fence = b.fence"
    " WHERE b.owner = %s"
)


def _named(leases: Sequence[Lease]) -> tuple[list[int], list[int]]:
    return [held.batch_id for held in leases], [held.fence for held in leases]


def lock_owned(leases: Sequence[Lease], owner: str, at: datetime | None) -> list[tuple[int, bool]]:
    rows = _all(
        f"SELECT b.id, b.lease_until > {_NOW}{_OURS} ORDER BY b.id FOR UPDATE OF b SKIP LOCKED",
        [at, *_named(leases), owner],
    )
    return [(row[0], row[1]) for row in rows]


def owned(leases: Sequence[Lease], owner: str) -> set[int]:
    return {row[0] for row in _all(f"SELECT b.id{_OURS}", [*_named(leases), owner])}


def read_journals(leases: Sequence[Lease], owner: str) -> dict[int, str]:
    rows = _all(
        f"SELECT b.id, b.journal{_OURS} ORDER BY b.id FOR UPDATE OF b",
        [*_named(leases), owner],
    )
    return {row[0]: row[1] for row in rows}


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
        f"WITH mine AS (SELECT b.id{_OURS} ORDER BY b.id FOR UPDATE OF b SKIP LOCKED)"  # noqa: S608
        " UPDATE notifications_deliverybatch b"
        f" SET lease_until = {_NOW} + make_interval(secs => %s)"
        " FROM mine WHERE b.id = mine.id RETURNING b.id",
        [*_named(leases), owner, at, seconds],
    )
    return {row[0] for row in rows}


def release(leases: Sequence[Lease], owner: str, due_at: datetime | None) -> None:
    _run(
        "UPDATE notifications_deliverybatch b SET owner = NULL, lease_until = NULL,"
        " due_at = coalesce(%s::timestamptz, b.due_at), size = least(b.size, v.waiting)"
        " FROM unnest(%s::bigint[], %s::int[], %s::int[]) AS v(id, fence, waiting)"
        " WHERE b.id = v.id AND b.fence = v.fence AND b.owner = %s AND b.journal = ''",
        [
            due_at,
            [held.batch_id for held in leases],
            [held.fence for held in leases],
            [len(held.open_keys) for held in leases],
            owner,
        ],
    )


def release_unknown(owner: str, known: Sequence[int]) -> None:
    _run(
        "UPDATE notifications_deliverybatch SET owner = NULL, lease_until = NULL, fence = fence + 1"
        " WHERE owner = %s AND id <> ALL (%s) AND journal = ''",
        [owner, list(known)],
    )


def owners(limit: int) -> list[str]:
    rows = _all(
        "SELECT DISTINCT owner FROM notifications_deliverybatch WHERE owner IS NOT NULL LIMIT %s",
        [limit],
    )
    return [row[0] for row in rows]


def abandoned(
    ended: Sequence[str],
    late: Sequence[str] | None,
    at: datetime | None,
    limit: int,
    *,
    after: int,
) -> list[int]:
    rows = _all(
        "SELECT id FROM notifications_deliverybatch"  # noqa: S608 -- constant text
        " WHERE id > %s AND owner IS NOT NULL AND (owner = ANY(%s) OR"
        f" ((%s::text[] IS NULL OR owner = ANY(%s)) AND lease_until <= {_NOW}))"
        " ORDER BY id LIMIT %s",
        [after, list(ended), _or_none(late), _or_none(late), at, limit],
    )
    return [row[0] for row in rows]


def _or_none(names: Sequence[str] | None) -> list[str] | None:
    return None if names is None else list(names)


def claim_abandoned(batch_id: int, ended: Sequence[str], at: datetime | None) -> Abandoned | None:
    rows = _all(
        "SELECT lane, channel, source, members, journal, takeovers, owner"  # noqa: S608 -- constant
        " FROM notifications_deliverybatch WHERE id = %s AND owner IS NOT NULL"
        f" AND (owner = ANY(%s) OR lease_until <= {_NOW}) FOR UPDATE SKIP LOCKED",
        [batch_id, list(ended), at],
    )
    return Abandoned._make(rows[0]) if rows else None


def reset(batch_id: int, takeovers: int, size: int) -> None:
    _run(
        "UPDATE notifications_deliverybatch SET owner = NULL, lease_until = NULL, journal = '',"
        " fence = fence + 1, takeovers = %s, size = %s WHERE id = %s",
        [takeovers, size, batch_id],
    )


def lock_batch(batch_id: int) -> None:
    _all("SELECT id FROM notifications_deliverybatch WHERE id = %s FOR UPDATE", [batch_id])
