"""Statements over many recipients of a broadcast at once, for both databases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.db import connection

from notifications.models.delivery import hot_postgres, hot_sqlite

_COLUMNS = "broadcast_id, recipient_id, notification_id, state, telegram_sent, requeue, retries"
_INSERT_POSTGRES = (
    f"INSERT INTO notifications_broadcastrecipient ({_COLUMNS})"  # noqa: S608 -- constant text
    " SELECT %s, v.person, v.key, 'pending', false, false, 0"
    " FROM unnest(%s::bigint[], %s::bigint[]) AS v(person, key)"
    " ON CONFLICT (broadcast_id, recipient_id) DO NOTHING"
)
_INSERT_SQLITE = (
    f"INSERT INTO notifications_broadcastrecipient ({_COLUMNS})"  # noqa: S608 -- constant text
    " VALUES (?, ?, ?, 'pending', 0, 0, 0) ON CONFLICT (broadcast_id, recipient_id) DO NOTHING"
)
_WRITE_CHOICE = (
    "UPDATE notifications_broadcastrecipient SET choice = %s"
    " WHERE broadcast_id = %s AND recipient_id = %s"
)
_WITHOUT_MESSAGES = (
    "SELECT r.recipient_id, r.notification_id, r.choice FROM notifications_broadcastrecipient r"
    " WHERE r.broadcast_id = %s AND r.recipient_id > %s AND r.state = 'pending'"
    " AND NOT EXISTS (SELECT 1 FROM notifications_notification n WHERE n.id = r.notification_id)"
    " ORDER BY r.recipient_id LIMIT %s"
)


class Unreported(NamedTuple):
    """A pending recipient who has no messages yet."""

    #: The recipient's user id.
    person: int
    #: The key reserved for the notification; None for a row that a caller created itself.
    key: int | None
    #: Why it is sent then and there, where that was learned, as JSON.
    choice: str | None = None


def insert_recipients(broadcast_id: int, people: Sequence[int], keys: Sequence[int]) -> int:
    """Adds people to a broadcast's recipients, each with the key reserved for the notification.

    Returns how many of them are new.
    """
    if connection.vendor == "postgresql":
        with hot_postgres.raw() as cursor:
            cursor.execute(_INSERT_POSTGRES, [broadcast_id, list(people), list(keys)])
            return int(cursor.rowcount)
    rows = [(broadcast_id, person, key) for person, key in zip(people, keys, strict=True)]
    return int(hot_sqlite.raw().executemany(_INSERT_SQLITE, rows).rowcount)


def write_choices(broadcast_id: int, choices: Mapping[int, str]) -> None:
    """Writes why recipients, by user id, get their messages then and there."""
    rows = [(text, broadcast_id, person) for person, text in sorted(choices.items())]
    with connection.cursor() as cursor:
        cursor.executemany(_WRITE_CHOICE, rows)


def recipients_without_messages(broadcast_id: int, *, after: int, limit: int) -> list[Unreported]:
    """Returns pending recipients above the user id `after` without a notification, by rising id."""
    with connection.cursor() as cursor:
        cursor.execute(_WITHOUT_MESSAGES, [broadcast_id, after, limit])
        return [Unreported(*row) for row in cursor.fetchall()]


def assign_keys(broadcast_id: int, keys: Sequence[tuple[int, int]]) -> None:
    """Writes the notification keys of recipients that have none: (user id, key)."""
    sql = (
        "UPDATE notifications_broadcastrecipient SET notification_id = %s"
        " WHERE broadcast_id = %s AND recipient_id = %s"
    )
    rows: list[Any] = [(key, broadcast_id, person) for person, key in keys]
    with connection.cursor() as cursor:
        cursor.executemany(sql, rows)
