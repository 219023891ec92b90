"""Reads inboxes: pages and missed events, each with the position that it belongs to.

A page, its unread number and its position come from one statement, so from one snapshot: live
events go on from exactly there.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from directory.keys import load_keys_of_people
from notifications.domain.identifiers import key_of
from notifications.infra.crypto import unseal_json
from notifications.models import ChangeKind, InboxArrival
from notifications.models.delivery import hot_postgres, hot_sqlite
from vault.cells import Key, KeyErased

MOST_MISSED = 50
"""The most events of one person that are sent one by one: a snapshot is not larger."""
_ITEM = (
    "a.seq, a.uuid, a.category_id, a.priority, a.content, a.arrived_at, a.seen_at, a.read_at,"
    " a.archived_at, a.snoozed_until"
)
_STATUS = {
    "": "a.archived_at IS NULL AND a.snoozed_until IS NULL",
    "unread": "a.read_at IS NULL AND a.archived_at IS NULL AND a.snoozed_until IS NULL",
    "read": "a.read_at IS NOT NULL AND a.archived_at IS NULL AND a.snoozed_until IS NULL",
    "archived": "a.archived_at IS NOT NULL",
    "snoozed": "a.snoozed_until IS NOT NULL",
}
STATUSES = tuple(name for name in _STATUS if name)


class InboxCursor(NamedTuple):
    """A place among the events of one person."""

    epoch: str
    seq: int


class ShownArrival(NamedTuple):
    """An arrival as clients get it."""

    seq: int
    uuid: UUID
    category_id: int
    priority: int
    #: Title, body and data; empty after an erasure.
    content: Mapping[str, Any]
    arrived_at: datetime
    seen_at: datetime | None
    read_at: datetime | None
    archived_at: datetime | None
    snoozed_until: datetime | None

    def as_arrived(self) -> ShownArrival:
        """Returns it as it was when it arrived, where the changes that followed are events, too.

        A client applies them one by one: to an arrival that is archived already it would not apply
        an earlier `read_all`.
        """
        return self._replace(read_at=None, archived_at=None, snoozed_until=None)


class ShownChange(NamedTuple):
    """A change as clients get it. `terms`: as `InboxChange.terms` describes."""

    seq: int
    kind: str
    terms: Mapping[str, Any]
    #: The present text of an amended arrival.
    content: Mapping[str, Any]


@dataclass(slots=True)
class InboxState:
    """What one person has, at one position."""

    position: InboxCursor
    unread: int
    #: In the order of their positions; of a page, the newest first.
    events: list[ShownArrival | ShownChange] = field(default_factory=list)
    #: Whether `events` begins where the reader stood. If not, it is the newest unread arrivals.
    continues: bool = False


def read_page(
    user_id: int,
    *,
    status: str = "",
    category_id: int | None = None,
    before: int | None = None,
    limit: int = MOST_MISSED,
) -> InboxState:
    """Returns a page of an inbox, the newest first, with the position that it belongs to.

    Args:
        before: only arrivals before this position; None for the first page.
        limit: the most arrivals.
    """
    conditions = ["a.user_id = %s", "a.retracted_at IS NULL", _STATUS[status]]
    values: list[Any] = [user_id, user_id]
    if category_id is not None:
        conditions.append("a.category_id = %s")
        values.append(category_id)
    if before is not None:
        conditions.append("a.seq < %s")
        values.append(before)
    sql = (
        "SELECT e.epoch, coalesce(c.seq, 0), coalesce(c.unread, 0), p.* FROM"  # noqa: S608
        " notifications_inboxepoch e"
        " LEFT JOIN notifications_inboxcounter c ON c.user_id = %s"
        f" LEFT JOIN (SELECT {_ITEM} FROM notifications_inboxarrival a"
        f" WHERE {' AND '.join(conditions)} ORDER BY a.seq DESC LIMIT {int(limit)}) p ON 1 = 1"
        " ORDER BY p.seq DESC"
    )
    rows = fetch(sql, values)
    keys = {key.id: key for key in load_keys_of_people([user_id]).values()}
    items: list[ShownArrival | ShownChange] = [
        _item(row[3:], keys) for row in rows if row[3] is not None
    ]
    return InboxState(InboxCursor(rows[0][0], rows[0][1]), rows[0][2], items)


def read_position(user_id: int) -> InboxState:
    """Returns the position and the unread number of one person."""
    ((epoch, seq, unread),) = fetch(
        "SELECT e.epoch, coalesce(c.seq, 0), coalesce(c.unread, 0) FROM notifications_inboxepoch e"
        " LEFT JOIN notifications_inboxcounter c ON c.user_id = %s",
        [user_id],
    )
    return InboxState(InboxCursor(epoch, seq), unread)


_NEWER = {
    "postgresql": "SELECT v.user_id, c.seq FROM unnest(%s::bigint[], %s::bigint[])"
    " AS v(user_id, seq) JOIN notifications_inboxcounter c ON c.user_id = v.user_id"
    " WHERE c.seq > v.seq",
    "sqlite": "SELECT c.user_id, c.seq FROM json_each(%s) v"
    " JOIN notifications_inboxcounter c ON c.user_id = v.value ->> 0"
    " WHERE c.seq > v.value ->> 1",
}


def read_newer(seqs: Mapping[int, int]) -> tuple[str, dict[int, int]]:
    """Returns the epoch, and the positions of those who have events after the given positions.

    It costs little where no one has, so that it may run each second for all who are connected.
    """
    ((epoch,),) = fetch("SELECT epoch FROM notifications_inboxepoch", [])
    if not seqs:
        return epoch, {}
    if connection.vendor == "postgresql":
        values = [hot_postgres.array(list(seqs)), hot_postgres.array(list(seqs.values()))]
    else:
        values = [json.dumps(list(seqs.items()))]
    return epoch, dict(fetch(_NEWER[connection.vendor], values))


def read_since(places: Mapping[int, InboxCursor | None]) -> dict[int, InboxState]:
    """Returns what people have missed since their positions, or what they have now.

    A person who missed more than MOST_MISSED events, whose epoch is another, whose position is
    unknown (None) or above the counter, or whose changes were deleted, gets the newest unread
    arrivals instead, in the order of their positions. One statement answers it for all of them.

    Args:
        places: the position of each person.
    """
    found = _read(places)
    if too_many := [user for user, state in found.items() if len(state.events) > MOST_MISSED]:
        found |= _read(dict.fromkeys(too_many))
    return found


def _read(places: Mapping[int, InboxCursor | None]) -> dict[int, InboxState]:
    known = [(user, *(place or _NOWHERE)) for user, place in places.items()]
    if connection.vendor == "postgresql":
        rows = fetch(_since(), [hot_postgres.array(column) for column in zip(*known, strict=True)])
    else:
        rows = fetch(_since(), [json.dumps(known)])
    keys = {key.id: key for key in load_keys_of_people([*places]).values()}
    found: dict[int, InboxState] = {}
    for what, user, seq, label, number, flag, public, content, terms, *times in sorted(
        rows, key=lambda row: (row[0], row[2])
    ):
        if what == _COUNTER:
            found[user] = InboxState(InboxCursor(label, seq), number, continues=bool(flag))
        elif what == _CHANGED:
            found[user].events.append(ShownChange(seq, label, json.loads(terms), {}))
        else:
            item = _item((seq, public, number, flag, content, *times), keys)
            found[user].events.append(item.as_arrived() if found[user].continues else item)
    for state in found.values():
        state.events.sort(key=lambda event: event.seq)
    _add_texts(found, keys)
    return found


_NOWHERE = InboxCursor("", -1)
_COUNTER, _ARRIVED, _CHANGED = range(3)
_TIMES = ("arrived_at", "seen_at", "read_at", "archived_at", "snoozed_until")
_ARRIVAL = (
    str(_ARRIVED), "a.user_id", "a.seq", "''", "a.category_id", "a.priority", "a.uuid",
    "a.content", "CAST(NULL AS text)", *(f"a.{name}" for name in _TIMES),
)  # fmt: skip
_PLACES = """
 places AS (
  SELECT v.user_id, e.epoch, coalesce(c.seq, 0) AS seq, coalesce(c.unread, 0) AS unread,
   CASE WHEN v.epoch = e.epoch AND v.after BETWEEN coalesce(c.floor, 0) AND coalesce(c.seq, 0)
        THEN v.after END AS after
  FROM v CROSS JOIN notifications_inboxepoch e
  LEFT JOIN notifications_inboxcounter c ON c.user_id = v.user_id)
"""
_GIVEN = {
    "postgresql": "v AS (SELECT * FROM unnest(%s::bigint[], %s::text[], %s::bigint[])"
    " AS v(user_id, epoch, after))",
    "sqlite": "v AS (SELECT value ->> 0 AS user_id, value ->> 1 AS epoch, value ->> 2 AS after"
    " FROM json_each(%s))",
}
_NULLS = {
    "postgresql": ("NULL::uuid", "NULL::bytea", *["NULL::timestamptz"] * len(_TIMES)),
    "sqlite": ("NULL",) * (2 + len(_TIMES)),
}
_OF_EACH = {
    # An index finds the first rows of each person.
    "postgresql": "SELECT r.* FROM places p CROSS JOIN LATERAL (SELECT {columns} FROM {table} a"
    " WHERE a.user_id = p.user_id AND {which} ORDER BY a.seq {order} LIMIT {limit}) r",
    "sqlite": "SELECT {names} FROM (SELECT {columns}, row_number() OVER"
    " (PARTITION BY a.user_id ORDER BY a.seq {order}) AS place FROM places p"
    " JOIN {table} a ON a.user_id = p.user_id AND {which}) WHERE place <= {limit}",
}


@functools.cache
def _since() -> str:
    """Returns the statement of `read_since`: counters, missed arrivals, missed changes, unread."""
    vendor = connection.vendor
    public, content, *times = _NULLS[vendor]
    changed = (
        str(_CHANGED), "a.user_id", "a.seq", "a.kind", "0", "0", public, content,
        "CAST(a.terms AS text)", *times,
    )  # fmt: skip
    shown = "a.retracted_at IS NULL"
    unread = f"p.after IS NULL AND {shown} AND {_STATUS['unread']}"
    parts = [
        (_ARRIVAL, "inboxarrival", f"a.seq > p.after AND {shown}", "ASC", MOST_MISSED + 1),
        (changed, "inboxchange", "a.seq > p.after", "ASC", MOST_MISSED + 1),
        (_ARRIVAL, "inboxarrival", unread, "DESC", MOST_MISSED),
    ]
    queries = [
        f"SELECT * FROM ({_of_each(vendor, *part)}) AS part{number}"  # noqa: S608 -- constant text
        for number, part in enumerate(parts)
    ]
    return (
        f"WITH {_GIVEN[vendor]}, {_PLACES}"  # noqa: S608 -- constant text
        f" SELECT {_COUNTER}, user_id, seq, epoch, unread,"
        f" CASE WHEN after IS NULL THEN 0 ELSE 1 END, {public}, {content}, CAST(NULL AS text),"
        f" {', '.join(times)} FROM places"
        f" UNION ALL {' UNION ALL '.join(queries)}"
    )


def _of_each(
    vendor: str, columns: Sequence[str], table: str, which: str, order: str, limit: int
) -> str:
    """Returns a query of the first rows of each person."""
    return _OF_EACH[vendor].format(
        columns=", ".join(f"{text} AS c{n}" for n, text in enumerate(columns)),
        names=", ".join(f"c{n}" for n in range(len(columns))),
        table=f"notifications_{table}",
        which=which,
        order=order,
        limit=limit,
    )


def _add_texts(found: Mapping[int, InboxState], keys: Mapping[int, Key]) -> None:
    """Adds the present text of amended arrivals to their changes."""
    amended = {
        str(public): (state, place)
        for state in found.values()
        for place, event in enumerate(state.events)
        if isinstance(event, ShownChange) and event.kind == ChangeKind.AMENDED
        for public in event.terms.get("ids", ())
    }
    rows = InboxArrival.objects.filter(pk__in=[key_of(UUID(public)) for public in amended])
    for row in rows if amended else ():
        state, place = amended[str(row.uuid)]
        event = state.events[place]
        assert isinstance(event, ShownChange)
        state.events[place] = event._replace(content=row.content or {})


def _item(row: Sequence[Any], keys: Mapping[int, Key]) -> ShownArrival:
    """Returns an arrival. keys: data keys by their id."""
    seq, public, category, priority, content, *times = row
    uuid = public if isinstance(public, UUID) else UUID(str(public))
    try:
        text = unseal_json(content, keys)
    except KeyErased:
        text = {}
    if isinstance(times[0], str) or times[0].tzinfo is None:  # SQLite's
        times = list(map(_aware, times))
    return ShownArrival(seq, uuid, category, priority, text, *times)


def _aware(moment: Any) -> Any:
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def fetch(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Returns the rows of a statement with `%s` marks, which binds its values on the server."""
    if connection.vendor == "sqlite":
        return hot_sqlite.raw().execute(_question_marks(sql), values).fetchall()
    with hot_postgres.raw() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


@functools.lru_cache(maxsize=64)
def _question_marks(sql: str) -> str:
    return sql.replace("%s", "?")
