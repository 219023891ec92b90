"""Loads notifications and their messages as their status shows them, in plain SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from notifications.models.delivery import hot_sqlite
from notifications.models.delivery.hot import PlainQuery, fetch_together

_STATUSES = (
    "SELECT n.id, n.uuid, n.user_id, n.priority, c.key, t.path, n.created_at, n.scheduled_at,"
    " n.expires_at, n.read_at IS NOT NULL"
    " FROM notifications_notification n"
    " JOIN notifications_category c ON c.id = n.category_id"
    " LEFT JOIN notifications_templateversion v ON v.id = n.template_version_id"
    " LEFT JOIN notifications_notificationtemplate t ON t.id = v.template_id"
    " WHERE n.id {users}"
)
_MESSAGES_OF = (
    "SELECT m.notification_id, m.id, m.channel, m.status, m.attempts, m.max_attempts,"
    " m.scheduled_at, m.sent_at, m.delivered_at, m.provider, m.provider_message_id, m.last_error,"
    " b.journal FROM notifications_notificationmessage m"
    " LEFT JOIN notifications_deliverybatch b ON m.status = 'pending' AND b.id = m.batch_id"
    " WHERE m.notification_id {users} ORDER BY m.id"
)


class StatusRow(NamedTuple):
    """A notification as its status shows it."""

    id: int
    uuid: UUID
    user_id: int | None
    priority: int
    category: str
    template_path: str | None
    created_at: datetime
    scheduled_at: datetime
    expires_at: datetime | None
    is_read: bool


class MessageRow(NamedTuple):
    """A message as its notification's status shows it."""

    notification_id: int
    id: int
    channel: str
    status: str
    attempts: int
    max_attempts: int
    scheduled_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    provider: str | None
    provider_message_id: str | None
    last_error: str | None
    #: The journal of its batch, while it is pending.
    journal: str | None


def load_statuses(keys: Sequence[int]) -> tuple[list[StatusRow], list[MessageRow]]:
    """Loads notifications by their keys, and their messages in the order of their keys.

    One round trip.
    """
    found, messages = fetch_together(
        [PlainQuery(_STATUSES, (keys,)), PlainQuery(_MESSAGES_OF, (keys,))]
    )
    if connection.vendor == "sqlite":
        time = hot_sqlite.parse_time
        found = [
            (row[0], UUID(row[1]), *row[2:6], *map(time, row[6:9]), bool(row[9])) for row in found
        ]
        messages = [(*row[:6], *map(time, row[6:9]), *row[9:]) for row in messages]
    return [*map(StatusRow._make, found)], [*map(MessageRow._make, messages)]
