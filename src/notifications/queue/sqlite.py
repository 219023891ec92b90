"""The queue's statements for SQLite. Every writer holds the database's one write lock (IMMEDIATE),
so a row needs no lock of its own; the caller is inside a transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from notifications.models import pack_keys
from notifications.models.hot_sqlite import raw, time_value
from notifications.queue.leases import Lease, LeaseRequest, NewBatch


def _now(at: datetime | None) -> datetime:
    """The machine's own clock is the database's: SQLite runs inside the process."""
    return at or datetime.now(UTC)


def insert_batches(batches: Sequence[NewBatch], at: datetime | None) -> list[int]:
    ids = []
    for batch in batches:
        cursor = raw().execute(
            "INSERT INTO notifications_deliverybatch (lane, channel, source, due_at, members, size,"
            " takeovers, isolated, fence, journal) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, '')",
            (
                batch.lane,
                batch.channel,
                batch.source,
                time_value(batch.due_at or _now(at)),
                pack_keys(batch.keys),
                len(batch.keys),
                batch.takeovers,
                batch.isolated,
            ),
        )
        ids.append(cursor.lastrowid)
    return ids


def sources(lanes: Sequence[str]) -> list[tuple[str, str]]:
    return [(lane, source) for lane in lanes for source in _sources_of(lane)]


def _sources_of(lane: str) -> list[str]:
    found: list[str] = []
    last = ""
    while len(found) < 1000:
        row = (
            raw()
            .execute(
                "SELECT source FROM notifications_deliverybatch WHERE lane = ? AND source > ?"
                " ORDER BY source LIMIT 1",
                (lane, last),
            )
            .fetchone()
        )
        if row is None:
            break
        last = row[0]
        found.append(last)
    return found


_DUE = (
    "SELECT id, lane, channel, source, fence + 1, members, size, takeovers, isolated"
    " FROM notifications_deliverybatch"
    " WHERE lane = ? AND source = ? AND due_at <= ? AND owner IS NULL AND isolated = ?"
    " AND channel NOT IN (SELECT value FROM json_each(?)) ORDER BY due_at, id LIMIT ?"
)


def lease(request: LeaseRequest, at: datetime | None) -> list[Lease]:
    now = _now(at)
    each = 1 if request.isolated else max(1, -(-request.most // max(1, len(request.sources))))
    without = json.dumps(list(request.without_channels))
    taken: list[Lease] = []
    room = request.budget
    for source in request.sources:
        if room <= 0:
            break
        due = raw().execute(
            _DUE, (request.lane, source, time_value(now), request.isolated, without, each)
        )
        for row in due.fetchall():
            if room <= 0:
                break
            taken.append(Lease(*row))
            room -= taken[-1].size
    until = time_value(now + timedelta(seconds=request.seconds))
    raw().executemany(
        "UPDATE notifications_deliverybatch SET owner = ?, fence = ?, lease_until = ? WHERE id = ?",
        [(request.owner, held.fence, until, held.batch_id) for held in taken],
    )
    return taken


def hold(leases: Sequence[Lease], owner: str, at: datetime | None) -> set[int]:
    wanted = {held.batch_id: held.fence for held in leases}
    rows = raw().execute(
        "SELECT id, fence FROM notifications_deliverybatch"
        " WHERE id IN (SELECT value FROM json_each(?)) AND owner = ? AND lease_until > ?",
        (json.dumps(list(wanted)), owner, time_value(_now(at))),
    )
    return {key for key, fence in rows if wanted[key] == fence}


def write_journals(journals: Mapping[int, str]) -> None:
    raw().executemany(
        "UPDATE notifications_deliverybatch SET journal = ? WHERE id = ?",
        [(journal, batch_id) for batch_id, journal in journals.items()],
    )


def delete(batch_ids: Sequence[int]) -> None:
    raw().executemany(
        "DELETE FROM notifications_deliverybatch WHERE id = ?", [(key,) for key in batch_ids]
    )


def renew(leases: Sequence[Lease], owner: str, seconds: float, at: datetime | None) -> set[int]:
    ours = hold(leases, owner, at)
    until = time_value(_now(at) + timedelta(seconds=seconds))
    raw().executemany(
        "UPDATE notifications_deliverybatch SET lease_until = ? WHERE id = ?",
        [(until, key) for key in ours],
    )
    return ours


def release(leases: Sequence[Lease], owner: str, due_at: datetime | None) -> None:
    due = time_value(due_at)
    raw().executemany(
        "UPDATE notifications_deliverybatch SET owner = NULL, lease_until = NULL,"
        " due_at = coalesce(?, due_at) WHERE id = ? AND fence = ? AND owner = ? AND journal = ''",
        [(due, held.batch_id, held.fence, owner) for held in leases],
    )


def expired(owner: str, at: datetime | None, limit: int) -> list[int]:
    rows: list[tuple[Any, ...]] = (
        raw()
        .execute(
            "SELECT id FROM notifications_deliverybatch WHERE owner IS NOT NULL"
            " AND (? = '' OR owner = ?) AND lease_until <= ? ORDER BY id LIMIT ?",
            (owner, owner, time_value(_now(at)), limit),
        )
        .fetchall()
    )
    return [row[0] for row in rows]


def claim_expired(batch_id: int, at: datetime | None) -> tuple[str, str, str, str, str, int] | None:
    row: tuple[str, str, str, str, str, int] | None = (
        raw()
        .execute(
            "SELECT lane, channel, source, members, journal, takeovers"
            " FROM notifications_deliverybatch"
            " WHERE id = ? AND owner IS NOT NULL AND lease_until <= ?",
            (batch_id, time_value(_now(at))),
        )
        .fetchone()
    )
    return row


def reset(batch_id: int, takeovers: int) -> None:
    raw().execute(
        "UPDATE notifications_deliverybatch SET owner = NULL, lease_until = NULL, journal = '',"
        " fence = fence + 1, takeovers = ? WHERE id = ?",
        (takeovers, batch_id),
    )


def expire_owner(owner: str) -> None:
    raw().execute(
        "UPDATE notifications_deliverybatch SET lease_until = '1970-01-01 00:00:00'"
        " WHERE owner = ?",
        (owner,),
    )


def lock_batch(batch_id: int) -> None:
    """Nothing to do: the transaction already holds the only write lock there is."""
