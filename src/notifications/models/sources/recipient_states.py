"""Statements that write message statuses to many recipients at once, for both databases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from notifications.models.delivery import hot_postgres, hot_sqlite

_COUNTING = 0x42C4  # the class of the advisory locks for counting a broadcast
_LAUNCH = 0x42C5  # the class of the advisory locks for creating its recipients and messages
_FOUND = (
    "SELECT r.recipient_id, r.state, r.requeue, r.error, CAST(r.channel_states AS text),"
    " m.channel, m.status, m.provider_message_id, m.last_error,"
    " CASE WHEN m.status IN ('suppressed', 'digested', 'expired') THEN m.trail END, m.sent_at"
)
# OFFSET 0 forces one look-up a key. Joined, a table without statistics would be read as a whole.
_FOUND_POSTGRES = f"""
{_FOUND} FROM unnest(%s::bigint[]) AS k(id) CROSS JOIN LATERAL (
  SELECT * FROM notifications_notificationmessage WHERE notification_id = k.id OFFSET 0
) AS m CROSS JOIN LATERAL (
  SELECT * FROM notifications_broadcastrecipient
  WHERE broadcast_id = %s AND recipient_id = m.user_id AND notification_id = k.id OFFSET 0
) AS r
ORDER BY r.recipient_id, m.id
"""  # noqa: S608 -- constant text
_FOUND_SQLITE = (
    f"{_FOUND} FROM notifications_notificationmessage m JOIN notifications_broadcastrecipient r"  # noqa: S608
    " ON r.broadcast_id = ?1 AND r.recipient_id = m.user_id"
    " WHERE m.notification_id IN (SELECT value FROM json_each(?2))"
    " AND r.notification_id = m.notification_id ORDER BY r.recipient_id, m.id"
)
_WRITE_POSTGRES = """
UPDATE notifications_broadcastrecipient r SET
  state = v.state, channel_states = v.channels::jsonb, error = v.error,
  telegram_sent = v.telegram_sent, telegram_message_id = v.telegram_message_id,
  telegram_error = v.telegram_error, sent_at = v.sent_at
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::bool[], %s::text[], %s::text[],
            %s::timestamptz[])
  AS v(person, state, channels, error, telegram_sent, telegram_message_id, telegram_error, sent_at)
WHERE r.broadcast_id = %s AND r.recipient_id = v.person
"""
_WRITE_SQLITE = """
UPDATE notifications_broadcastrecipient SET
  state = ?2, channel_states = ?3, error = ?4, telegram_sent = ?5, telegram_message_id = ?6,
  telegram_error = ?7, sent_at = ?8
WHERE broadcast_id = ?9 AND recipient_id = ?1
"""


class RecipientMessage(NamedTuple):
    """One message, with the columns of its recipient's row before it."""

    #: The recipient's user id.
    person: int
    state: str
    requeue: bool
    error: str | None
    #: The recipient's statuses by channel, as JSON text.
    channels: str | None
    #: From here on the message's own columns.
    channel: str
    status: str
    provider_message_id: str | None
    last_error: str | None
    #: The trail of a message that a decision did not send; None for others.
    trail: str | None
    sent_at: datetime | None


class RecipientUpdate(NamedTuple):
    """The new values of a recipient's row. channels is JSON text."""

    person: int
    state: str
    channels: str
    error: str | None
    telegram_sent: bool
    telegram_message_id: str | None
    telegram_error: str | None
    sent_at: datetime | None


def lock_counting(broadcast_id: int, *, wait: bool = False) -> bool:
    """Locks the states of a broadcast's recipients until the transaction ends.

    Returns False where another transaction has the lock and `wait` is False. It is an advisory lock
    and not that of the broadcast's row, so that a pause or cancellation does not wait for a count.
    SQLite needs no lock: it has one writer.
    """
    return _lock(_COUNTING, broadcast_id, wait=wait)


def lock_launch(broadcast_id: int) -> None:
    """Locks the creating and requeueing of a broadcast's recipients and messages; waits for it.

    The lock lasts until the transaction ends. A caller that also needs `lock_counting` must acquire
    this lock first.
    """
    _lock(_LAUNCH, broadcast_id, wait=True)


def _lock(kind: int, broadcast_id: int, *, wait: bool) -> bool:
    if connection.vendor == "sqlite":
        return True
    function = "pg_advisory_xact_lock" if wait else "pg_try_advisory_xact_lock"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s, %s)", [kind, broadcast_id & 0x7FFFFFFF])
        return wait or bool(cursor.fetchone()[0])


def messages_of(broadcast_id: int, keys: Sequence[int]) -> list[RecipientMessage]:
    """Returns the messages of these notifications, grouped by recipient."""
    if connection.vendor == "sqlite":
        rows = hot_sqlite.raw().execute(_FOUND_SQLITE, (broadcast_id, json.dumps(list(keys))))
        return [
            RecipientMessage._make((*row[:-1], hot_sqlite.parse_time(row[-1])))
            for row in rows.fetchall()
        ]
    with hot_postgres.raw() as cursor:
        cursor.execute(_FOUND_POSTGRES, [hot_postgres.array(keys), broadcast_id])
        return [RecipientMessage._make(row) for row in cursor.fetchall()]


def write_states(broadcast_id: int, rows: Sequence[RecipientUpdate]) -> None:
    """Writes recipients' rows. The caller has `lock_counting`."""
    if connection.vendor == "sqlite":
        values = [(*row[:-1], hot_sqlite.time_value(row[-1]), broadcast_id) for row in rows]
        hot_sqlite.raw().executemany(_WRITE_SQLITE, values)
        return
    columns = [hot_postgres.array(column) for column in zip(*rows, strict=True)]
    with hot_postgres.raw() as cursor:
        cursor.execute(_WRITE_POSTGRES, [*columns, broadcast_id])
