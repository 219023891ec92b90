"""The queue's statements for SQLite.

Every writer holds the one write lock of the database (IMMEDIATE), so a row needs no lock of its
own. The caller is inside a transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice

from django.db import transaction

from notifications.infra import ports
from notifications.models import pack_keys
from notifications.models.delivery.hot_sqlite import raw, time_value
from notifications.queue.leases import Abandoned, Lease, LeaseRequest, NewBatch

_MOST_SOURCES = 1000


def _now(at: datetime | None) -> datetime:
    """Returns the time of the machine's clock, which is SQLite's: it runs inside the process."""
    return at or ports.utc_now()


def insert_batches(batches: Sequence[NewBatch], at: datetime | None) -> list[int]:
    ids = []
    for batch in batches:
        cursor = raw().execute(
            "INSERT INTO notifications_deliverybatch (lane, channel, source, due_at, members, size,"
            " takeovers, isolated, expires_at, fence, journal)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '')",
            (
                batch.lane,
                batch.channel,
                batch.source,
                time_value(batch.due_at or _now(at)),
                pack_keys(batch.keys),
                len(batch.keys),
                batch.takeovers,
                batch.isolated,
                time_value(batch.expires_at),
            ),
        )
        ids.append(cursor.lastrowid)
    return ids


def sources(lanes: Sequence[str]) -> list[tuple[str, str]]:
    return [(lane, source) for lane in lanes for source in islice(_sources_of(lane), _MOST_SOURCES)]


def due_sources(lanes: Sequence[str], at: datetime | None) -> list[tuple[str, str]]:
    now = time_value(_now(at))
    return [
        (lane, source)
        for lane in lanes
        for source in islice((s for s in _sources_of(lane) if _is_due(lane, s, now)), _MOST_SOURCES)
    ]


def _is_due(lane: str, source: str, now: object) -> bool:
    found = raw().execute(
        "SELECT 1 FROM notifications_deliverybatch WHERE lane = ? AND source = ? AND due_at <= ?"
        " AND owner IS NULL LIMIT 1",
        (lane, source, now),
    )
    return found.fetchone() is not None


def _sources_of(lane: str) -> Iterator[str]:
    last = ""
    while True:
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
            return
        last = row[0]
        yield last


_DUE = (
    "SELECT id, lane, channel, source, fence + 1, members, size, takeovers, isolated"
    " FROM notifications_deliverybatch"
    " WHERE lane = ? AND source = ? AND due_at <= ? AND owner IS NULL AND isolated = ?"
    " AND channel NOT IN (SELECT value FROM json_each(?)) ORDER BY due_at, id LIMIT ?"
)


@transaction.atomic
def lease(request: LeaseRequest, at: datetime | None) -> list[Lease]:
    now = _now(at)
    each = 1 if request.isolated else max(1, -(-request.most // max(1, len(request.sources))))
    without = json.dumps(list(request.without_channels))
    leased: list[Lease] = []
    left = request.budget
    for source in request.sources:
        if left <= 0:
            break
        due = raw().execute(
            _DUE, (request.lane, source, time_value(now), request.isolated, without, each)
        )
        for row in due.fetchall():
            if left <= 0:
                break
            leased.append(Lease(*row))
            left -= leased[-1].size
    until = time_value(now + timedelta(seconds=request.seconds))
    raw().executemany(
        "UPDATE notifications_deliverybatch SET owner = ?, fence = ?, lease_until = ? WHERE id = ?",
        [(request.owner, held.fence, until, held.batch_id) for held in leased],
    )
    return leased


def _ours(leases: Sequence[Lease], owner: str) -> list[tuple[int, datetime, str]]:
    """Returns (id, lease_until, journal) of the batches with this owner and fence."""
    wanted = {held.batch_id: held.fence for held in leases}
    rows = raw().execute(
        "SELECT id, fence, lease_until, journal FROM notifications_deliverybatch"
        " WHERE id IN (SELECT value FROM json_each(?)) AND owner = ?",
        (json.dumps(list(wanted)), owner),
    )
    return [(key, until, journal) for key, fence, until, journal in rows if wanted[key] == fence]


def lock_owned(leases: Sequence[Lease], owner: str, at: datetime | None) -> list[tuple[int, bool]]:
    now = _now(at).replace(tzinfo=None)
    return [(key, until > now) for key, until, _ in _ours(leases, owner)]


def owned(leases: Sequence[Lease], owner: str) -> set[int]:
    return {key for key, _, _ in _ours(leases, owner)}


def read_journals(leases: Sequence[Lease], owner: str) -> dict[int, str]:
    return {key: journal for key, _, journal in _ours(leases, owner)}


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
    mine = owned(leases, owner)
    until = time_value(_now(at) + timedelta(seconds=seconds))
    raw().executemany(
        "UPDATE notifications_deliverybatch SET lease_until = ? WHERE id = ?",
        [(until, key) for key in mine],
    )
    return mine


def release(leases: Sequence[Lease], owner: str, due_at: datetime | None) -> None:
    due = time_value(due_at)
    raw().executemany(
        "UPDATE notifications_deliverybatch SET owner = NULL, lease_until = NULL,"
        " due_at = coalesce(?, due_at), size = min(size, ?)"
        " WHERE id = ? AND fence = ? AND owner = ? AND journal = ''",
        [(due, len(held.open_keys), held.batch_id, held.fence, owner) for held in leases],
    )


def release_unknown(owner: str, known: Sequence[int]) -> None:
    raw().execute(
        "UPDATE notifications_deliverybatch SET owner = NULL, lease_until = NULL, fence = fence + 1"
        " WHERE owner = ? AND id NOT IN (SELECT value FROM json_each(?)) AND journal = ''",
        (owner, json.dumps(list(known))),
    )


def owners(limit: int) -> list[str]:
    rows = raw().execute(
        "SELECT DISTINCT owner FROM notifications_deliverybatch WHERE owner IS NOT NULL LIMIT ?",
        (limit,),
    )
    return [row[0] for row in rows]


_LEFT = (
    "owner IS NOT NULL AND (owner IN (SELECT value FROM json_each(?))"
    " OR ((? IS NULL OR owner IN (SELECT value FROM json_each(?))) AND lease_until <= ?))"
)


def abandoned(
    ended: Sequence[str],
    late: Sequence[str] | None,
    at: datetime | None,
    limit: int,
    *,
    after: int,
) -> list[int]:
    names = None if late is None else json.dumps(list(late))
    rows = raw().execute(
        f"SELECT id FROM notifications_deliverybatch WHERE id > ? AND {_LEFT}"  # noqa: S608
        " ORDER BY id LIMIT ?",
        (after, json.dumps(list(ended)), names, names or "[]", time_value(_now(at)), limit),
    )
    return [row[0] for row in rows]


def claim_abandoned(batch_id: int, ended: Sequence[str], at: datetime | None) -> Abandoned | None:
    row = (
        raw()
        .execute(
            "SELECT lane, channel, source, members, journal, takeovers, owner"  # noqa: S608
            f" FROM notifications_deliverybatch WHERE id = ? AND {_LEFT}",
            (batch_id, json.dumps(list(ended)), None, "[]", time_value(_now(at))),
        )
        .fetchone()
    )
    return None if row is None else Abandoned._make(row)


def reset(batch_id: int, takeovers: int, size: int) -> None:
    raw().execute(
        "UPDATE notifications_deliverybatch SET owner = NULL, lease_until = NULL, journal = '',"
        " fence = fence + 1, takeovers = ?, size = ? WHERE id = ?",
        (takeovers, size, batch_id),
    )


def lock_batch(batch_id: int) -> None:
    """Does nothing: the transaction already holds the only write lock."""
