"""Writes the arrivals of whole slices, with one implementation for each database."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce

from notifications.models.delivery import hot_postgres, hot_sqlite
from notifications.models.inbox.arrival import UNREAD, InboxArrival
from notifications.models.inbox.counter import InboxCounter

_COLUMNS = "id, uuid, user_id, category_id, priority, content, arrived_at"


class NewArrival(NamedTuple):
    """An arrival without its position."""

    #: The key of the notification.
    id: int
    #: The public id, as 32 hex digits.
    uuid: str
    user_id: int
    category_id: int
    priority: int
    #: Sealed.
    content: bytes | None
    arrived_at: datetime


def insert_arrivals(rows: Sequence[NewArrival]) -> set[int]:
    """Inserts the arrivals that do not exist yet, and raises the counters of their people.

    The caller is in the transaction that records their messages. One statement on PostgreSQL. The
    positions of one person follow the order of `rows`.

    Returns:
        the people who got something new.
    """
    if not rows:
        return set()
    made = _by_postgres(rows) if connection.vendor == "postgresql" else _by_sqlite(rows)
    return {row.user_id for row in rows if row.id in made}


# `fresh` may have an arrival that another transaction commits meanwhile. Its insert then does
# nothing, the position stays a gap, and the unread number is counted again.
_INSERT = f"""
WITH v AS (
  SELECT * FROM unnest(%s::bigint[], %s::uuid[], %s::bigint[], %s::bigint[], %s::smallint[],
                       %s::bytea[], %s::timestamptz[]) WITH ORDINALITY
    AS v({_COLUMNS}, place)
), fresh AS (
  SELECT v.*, row_number() OVER (PARTITION BY user_id ORDER BY place) AS n FROM v
  WHERE NOT EXISTS (SELECT FROM notifications_inboxarrival a WHERE a.id = v.id)
), raised AS (
  INSERT INTO notifications_inboxcounter AS c (user_id, seq, unread, floor)
  SELECT user_id, count(*), count(*), 0 FROM fresh GROUP BY user_id ORDER BY user_id
  ON CONFLICT (user_id) DO UPDATE
    SET seq = c.seq + excluded.seq, unread = c.unread + excluded.unread
  RETURNING user_id, seq
), counts AS (
  SELECT user_id, count(*) AS count FROM fresh GROUP BY user_id
), made AS (
  INSERT INTO notifications_inboxarrival ({_COLUMNS}, seq)
  SELECT {", ".join(f"f.{name}" for name in _COLUMNS.split(", "))}, r.seq - k.count + f.n
  FROM fresh f JOIN raised r USING (user_id) JOIN counts k USING (user_id)
  ON CONFLICT (id) DO NOTHING
  RETURNING id
) SELECT ARRAY(SELECT id FROM made), ARRAY(SELECT id FROM fresh)
"""  # noqa: S608 -- constant text


def _by_postgres(rows: Sequence[NewArrival]) -> set[int]:
    columns = [hot_postgres.array(column) for column in zip(*rows, strict=True)]
    with hot_postgres.raw() as cursor:
        cursor.execute(_INSERT, columns)
        ((made, fresh),) = cursor.fetchall()
    doubled = set(fresh) - set(made)
    if doubled:
        # Two processes recorded the two messages of one notification at the same moment.
        recount_unread({row.user_id for row in rows if row.id in doubled})
    return set(made)


def recount_unread(user_ids: Collection[int]) -> None:
    """Counts the unread arrivals of people, whose counters the caller has locked or raised."""
    unread = (
        InboxArrival.objects.filter(UNREAD, user_id=OuterRef("user_id"))
        .values("user_id")
        .annotate(number=Count("*"))
        .values("number")
    )
    InboxCounter.objects.filter(user_id__in=sorted(user_ids)).update(
        unread=Coalesce(Subquery(unread), 0)
    )


_KNOWN = "SELECT id FROM notifications_inboxarrival WHERE id IN (SELECT value FROM json_each(?))"
_RAISE = """
INSERT INTO notifications_inboxcounter (user_id, seq, unread, floor) VALUES (?1, ?2, ?2, 0)
ON CONFLICT (user_id) DO UPDATE SET seq = seq + ?2, unread = unread + ?2
"""
_PLACES = (
    "SELECT user_id, seq FROM notifications_inboxcounter"
    " WHERE user_id IN (SELECT value FROM json_each(?))"
)
_ADD = (
    f"INSERT INTO notifications_inboxarrival ({_COLUMNS}, seq)"  # noqa: S608 -- constant text
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


def _by_sqlite(rows: Sequence[NewArrival]) -> set[int]:
    """Inserts them. SQLite has one writer, so no other process makes an arrival meanwhile."""
    database = hot_sqlite.raw()
    known = {row[0] for row in database.execute(_KNOWN, (json.dumps([r.id for r in rows]),))}
    fresh = [row for row in rows if row.id not in known] if known else rows
    counts = Counter(row.user_id for row in fresh)
    database.executemany(_RAISE, counts.items())
    places = dict(database.execute(_PLACES, (json.dumps(list(counts)),)))
    at = {user_id: places[user_id] - count for user_id, count in counts.items()}
    made: list[tuple[object, ...]] = []
    for row in fresh:
        at[row.user_id] += 1
        made.append((*row[:6], hot_sqlite.time_value(row.arrived_at), at[row.user_id]))
    database.executemany(_ADD, made)
    return {row.id for row in fresh}
