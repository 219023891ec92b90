"""The rows that hot statements read and write, and their columns."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from notifications.domain.lifecycle import TRANSITIONS, MessageStatus, sources_of

LOAD_COLUMNS = (
    "m.id, m.notification_id, m.user_id, m.channel, m.priority, m.attempts, m.max_attempts,"
    " m.batch_id, n.uuid, n.category_id, n.template_version_id, n.job_id,"
    " n.source, n.locale,"
    " n.context, n.text, n.address, n.options, n.expires_at, n.collapse_key, n.ordering_key,"
    " n.is_test, n.scheduled_status, m.provider,"
    # Only a notification with options has a fallback, for which it matters who has seen it.
    " CASE WHEN n.read_at IS NOT NULL THEN 1 WHEN n.options IS NULL THEN 0 ELSE (SELECT count(*)"
    " FROM notifications_inboxarrival a WHERE a.id = n.id"
    " AND (a.seen_at IS NOT NULL OR a.read_at IS NOT NULL)) END,"
    " n.variant"
)

HALTED_SOURCES = (
    "'source', 'broadcast:' || id FROM notifications_broadcast"
    " WHERE (status = 'paused' OR (NOT cleared AND status = 'cancelled'))"
)
"""The end of a SELECT of the sources that paused or cancelled broadcasts stop, like kill switches.

The index `broadcast_halted` has only these rows."""

_OPEN = (MessageStatus.PENDING, MessageStatus.UNCERTAIN)
"""The states that a worker's result may change; `change_status` changes the others."""


@functools.cache
def changeable_from(target: str) -> tuple[str, str]:
    """Returns the two open states that may change to `target`, by the transition table.

    It returns one state twice when only one may, and two empty texts when none may.
    """
    found = sorted(sources_of(MessageStatus(target)).intersection(_OPEN))
    return (str(found[0]), str(found[-1])) if found else ("", "")


def may_change(current: str, target: str) -> str:
    """Returns the SQL condition for a change of a message's status, made from the transition table.

    current, target: SQL expressions.
    """
    conditions = []
    for source in _OPEN:
        targets = ", ".join(f"'{state}'" for state in sorted(TRANSITIONS[source]))
        conditions.append(f"({current} = '{source}' AND {target} IN ({targets}))")
    return f"({' OR '.join(conditions)})"


ATTEMPT_COLUMNS = (
    "message_id",
    "number",
    "provider",
    "verdict",
    "error_code",
    "error",
    "provider_message_id",
    "response",
    "duration_ms",
    "device_id",
    "at",
)


class PendingMessage(NamedTuple):
    """A message as the pipeline reads it, in the order of LOAD_COLUMNS."""

    id: int
    notification_id: int
    user_id: int | None
    channel: str
    priority: int
    attempts: int
    max_attempts: int
    batch_id: int | None
    uuid: str
    category_id: int
    template_version_id: int | None
    job_id: int | None
    source: str
    locale: str
    #: Sealed.
    context: bytes | None
    #: Sealed.
    text: bytes | None
    #: Sealed.
    address: bytes | None
    #: JSON text.
    options: str | None
    expires_at: datetime | None
    collapse_key: str | None
    ordering_key: str | None
    is_test: bool
    scheduled_status: str | None
    #: The provider that may have received the message already: another must not get it.
    provider: str | None = None
    #: Its person has read the notification, or a visible document has shown it.
    is_read: int = 0
    #: The variant of an experiment.
    variant: str | None = None


class Change(NamedTuple):
    """New values of one message; one statement writes many.

    None for batch_id, scheduled_at, sent_at or delivered_at leaves the column as it is.
    """

    id: int
    status: str
    attempts: int
    provider: str | None
    provider_message_id: str | None
    last_error: str | None
    #: A fragment of JSON arrays, which is appended.
    trail: str
    batch_id: int | None
    scheduled_at: datetime | None
    sent_at: datetime | None
    delivered_at: datetime | None
    #: The batch in which the message was handled. A message that is in another batch now does not
    #: change.
    from_batch: int


class Recheck(NamedTuple):
    """What is read again while the batches are locked, in one statement."""

    #: The messages that are still pending, with the batch of each.
    pending: dict[int, int]
    stops: frozenset[tuple[str, str]]
    suppressed: set[str]

    @classmethod
    def of(cls, rows: Iterable[tuple[Any, ...]]) -> Recheck:
        """Builds it from rows of (what, name, value)."""
        pending: dict[int, int] = {}
        stops, suppressed = set(), set()
        for what, name, value in rows:
            if what == "pending":
                pending[int(name)] = int(value or 0)
            elif what == "stop":
                stops.add((name, value))
            else:
                suppressed.add(name)
        return cls(pending, frozenset(stops), suppressed)
