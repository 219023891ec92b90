"""Notifications with their messages, attempts and events: what a step empties or deletes.

All statements find rows by lists of keys. A notification goes together with all rows of its
messages. It stays whole while a message has not ended, a dead letter is open, its broadcast is not
over, or its user is under a legal hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from notifications.domain.lifecycle import UNSETTLED, MessageStatus
from notifications.features.retention.holds import held_users
from notifications.features.retention.statements import changed, fetched, key_list
from notifications.features.retention.walks import Aged, RoundPlan, RowsChanged, StepOutcome
from notifications.infra.conf import environment
from notifications.infra.database.lists import among
from notifications.models import (
    DeadLetter,
    Notification,
    NotificationMessage,
    ScheduledStatus,
)
from notifications.models.delivery.hot import MESSAGES, NOTIFICATIONS
from notifications.models.fields import EMPTIED

ATTEMPTS = "notifications_deliveryattempt"
EVENTS = "notifications_messageevent"
LATE = "notifications_lateoutcome"
LETTERS = "notifications_deadletter"
SANDBOX = "notifications_sandboxmessage"
HITS = "notifications_trackingevent"
OF_MESSAGES = (ATTEMPTS, EVENTS, LATE, LETTERS, SANDBOX, HITS)
"""Tables whose rows name a message by `message_id`, and go with it."""
ENGAGEMENT = "notifications_notificationanalytics"
"""The table with the row of engagement of a message, whose key is that of the message."""
_UNSETTLED = ", ".join(f"'{status.value}'" for status in sorted(UNSETTLED))
_COLUMNS = ("pk", "created_at", "scheduled_at", "category_id")


class Ended(NamedTuple):
    """The due notifications of a step that need not stay, with their messages."""

    notifications: list[int]
    messages: list[int]
    stays: list[int]


class NotificationWalk:
    """Reads notifications by key. Its subclasses say what happens to those that are due."""

    repeats = False

    def groups(self, plan: RoundPlan) -> Sequence[int]:
        return list(plan.categories)

    def after(self, position: int, count: int) -> list[Aged]:
        rows = Notification.objects.filter(pk__gt=position).order_by("pk")
        return [_aged(*row) for row in rows.values_list(*_COLUMNS)[:count]]

    def named(self, keys: Sequence[int]) -> list[Aged]:
        rows = Notification.objects.filter(pk__in=keys).order_by("pk")
        return [_aged(*row) for row in rows.values_list(*_COLUMNS)]


class Facts(NotificationWalk):
    """Deletes notifications with all rows of their messages."""

    def age(self, plan: RoundPlan, group: int) -> timedelta | None:
        return plan.categories.get(group, timedelta(days=environment().facts_retention_days))

    def left_at(self, plan: RoundPlan, group: int) -> timedelta | None:
        return None

    def apply(self, keys: Sequence[int], plan: RoundPlan, budget: int) -> StepOutcome:
        ended = find_ended(keys, plan)
        counts = _delete(ended) if plan.applies else _count_facts(ended)
        return StepOutcome(counts, ended.stays)


class Contents(NotificationWalk):
    """Empties texts, contexts and raw responses, and deletes what the sandbox stored.

    A category with a retention of its own has no such age: its contents go with its facts.
    """

    def age(self, plan: RoundPlan, group: int) -> timedelta | None:
        if group in plan.categories:
            return None
        return timedelta(days=environment().contents_retention_days)

    def left_at(self, plan: RoundPlan, group: int) -> timedelta | None:
        return timedelta(days=environment().facts_retention_days)

    def apply(self, keys: Sequence[int], plan: RoundPlan, budget: int) -> StepOutcome:
        ended = find_ended(keys, plan)
        counts = _empty(ended) if plan.applies else _count_contents(ended)
        return StepOutcome(counts, ended.stays)


def without_open(rows: QuerySet[Notification]) -> QuerySet[Notification]:
    """Returns the notifications that nothing keeps once they are cancelled.

    They have no uncertain message and no open dead letter, and their user is under no legal hold.
    """
    letters = DeadLetter.objects.filter(message_id=OuterRef("pk"), resolved_at=None)
    messages = NotificationMessage.objects.filter(notification_id=OuterRef("pk"))
    waits = Q(status=MessageStatus.UNCERTAIN) | Exists(letters)
    return rows.exclude(Exists(messages.filter(waits))).exclude(user_id__in=held_users())


def delete_notifications(keys: Sequence[int]) -> Counter[str]:
    """Deletes notifications with all rows of their messages, whatever their states.

    Returns how many rows it deleted, by table.

    Runs in the transaction in which the caller has locked them.
    """
    return _delete(Ended(list(keys), [row[0] for row in _messages_of(keys)], []), only="true")


def _aged(key: int, created_at: datetime, scheduled_at: datetime, category_id: int) -> Aged:
    return Aged(key, created_at, max(created_at, scheduled_at), category_id)


def find_ended(keys: Sequence[int], plan: RoundPlan) -> Ended:
    """Returns which of these notifications may go, and which stay."""
    messages = _messages_of(keys)
    stays = _waiting(keys, plan)
    stays |= {parent for _, parent, status in messages if status in UNSETTLED}
    failed = {key: parent for key, parent, status in messages if status == MessageStatus.FAILED}
    locked = _locked(list(failed)) if plan.applies else set(failed)
    stays |= {parent for key, parent in failed.items() if key not in locked}
    stays |= _with_open_letters({row[0]: row[1] for row in messages})
    return Ended(
        [key for key in keys if key not in stays],
        [key for key, parent, _ in messages if parent not in stays],
        sorted(stays),
    )


def _messages_of(keys: Sequence[int]) -> list[tuple[int, int, str]]:
    sql = f"SELECT id, notification_id, status FROM {MESSAGES} WHERE {among('notification_id')}"  # noqa: S608
    return fetched(sql, key_list(keys))


def _waiting(keys: Sequence[int], plan: RoundPlan) -> set[int]:
    """Returns the notifications that wait for a time, whose broadcast runs, or that are held."""
    sql = f"SELECT id, user_id, scheduled_status, source FROM {NOTIFICATIONS} WHERE {among('id')}"  # noqa: S608
    return {
        key
        for key, user_id, state, source in fetched(sql, key_list(keys))
        if state == ScheduledStatus.PENDING or user_id in plan.held or source in plan.open_sources
    }


def _locked(failed: list[int]) -> set[int]:
    """Locks failed messages, which a person may send again; returns those that it could lock.

    All other states that a message here can have are final.
    """
    if not failed or connection.vendor == "sqlite":
        return set(failed)
    sql = (
        f"SELECT id FROM {MESSAGES} WHERE {among('id')} AND status = 'failed'"  # noqa: S608
        " ORDER BY id FOR UPDATE SKIP LOCKED"
    )
    return {row[0] for row in fetched(sql, key_list(failed))}


def _with_open_letters(parents: dict[int, int]) -> set[int]:
    sql = f"SELECT message_id FROM {LETTERS} WHERE {among('message_id')} AND resolved_at IS NULL"  # noqa: S608
    return {parents[row[0]] for row in fetched(sql, key_list(list(parents)))}


def _delete(ended: Ended, *, only: str = f"status NOT IN ({_UNSETTLED})") -> Counter[str]:
    """Deletes rows. only: the condition that messages must still meet.

    Raises:
        RowsChanged: a message does not meet it any more.
    """
    counts: Counter[str] = Counter()
    messages = key_list(ended.messages)
    # First: who writes an open or a click has locked the message, so that none comes after this.
    counts[MESSAGES] += changed(
        f"DELETE FROM {MESSAGES} WHERE {among('id')} AND {only}",  # noqa: S608
        messages,
    )
    if counts[MESSAGES] != len(ended.messages):
        raise RowsChanged(f"{len(ended.messages) - counts[MESSAGES]} of a step")
    counts[ENGAGEMENT] += changed(
        f"DELETE FROM {ENGAGEMENT} WHERE {among('notification_id')}",  # noqa: S608
        messages,
    )
    for table in OF_MESSAGES:
        counts[table] += changed(f"DELETE FROM {table} WHERE {among('message_id')}", messages)  # noqa: S608
    counts[NOTIFICATIONS] += changed(
        f"DELETE FROM {NOTIFICATIONS} WHERE {among('id')}",  # noqa: S608
        key_list(ended.notifications),
    )
    return +counts


_HAS_TEXT = "(text IS NOT NULL OR context IS NOT NULL) AND (context IS NULL OR context <> %s)"


def _empty(ended: Ended) -> Counter[str]:
    counts: Counter[str] = Counter()
    messages = key_list(ended.messages)
    for table, column in _SEALED:
        counts[table] += changed(
            f"UPDATE {table} SET {column} = NULL"  # noqa: S608
            f" WHERE {among(_KEY_OF[table])} AND {column} IS NOT NULL",
            messages,
        )
    counts[SANDBOX] += changed(f"DELETE FROM {SANDBOX} WHERE {among('message_id')}", messages)  # noqa: S608
    counts[NOTIFICATIONS] += changed(
        f"UPDATE {NOTIFICATIONS} SET text = NULL, context = %s WHERE {among('id')} AND {_HAS_TEXT}",  # noqa: S608
        EMPTIED,
        key_list(ended.notifications),
        EMPTIED,
    )
    return +counts


_SEALED = ((MESSAGES, "content"), (ATTEMPTS, "response"), (LETTERS, "last_result"))
_KEY_OF = {MESSAGES: "id", ATTEMPTS: "message_id", LETTERS: "message_id"}


def _count(table: str, condition: str, *values: Any) -> int:
    return int(fetched(f"SELECT count(*) FROM {table} WHERE {condition}", *values)[0][0])  # noqa: S608


def _count_facts(ended: Ended) -> Counter[str]:
    messages = key_list(ended.messages)
    counts = Counter({table: _count(table, among("message_id"), messages) for table in OF_MESSAGES})
    counts[MESSAGES] += len(ended.messages)
    counts[NOTIFICATIONS] += len(ended.notifications)
    return +counts


def _count_contents(ended: Ended) -> Counter[str]:
    messages = key_list(ended.messages)
    counts = Counter(
        {
            table: _count(table, f"{among(_KEY_OF[table])} AND {column} IS NOT NULL", messages)
            for table, column in _SEALED
        }
    )
    counts[SANDBOX] += _count(SANDBOX, among("message_id"), messages)
    keys = key_list(ended.notifications)
    counts[NOTIFICATIONS] += _count(NOTIFICATIONS, f"{among('id')} AND {_HAS_TEXT}", keys, EMPTIED)
    return +counts
