"""The shapes that hot statements read and write, and the columns they name."""

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
    " n.is_test, n.scheduled_status, m.provider, n.read_at IS NOT NULL"
)

HALTED_SOURCES = (
    "'source', 'broadcast:' || id FROM notifications_broadcast"
    " WHERE (status = 'paused' OR (NOT cleared AND status = 'cancelled'))"
)
"""What broadcasts stop, as a kill switch of their source would: the end of a SELECT. An index holds
just these rows (`broadcast_halted`)."""

_OPEN = (MessageStatus.PENDING, MessageStatus.UNCERTAIN)
"""The states that a worker's outcome may change; what is settled changes by `change_status`."""


@functools.cache
def changeable_from(target: str) -> tuple[str, str]:
    """The states that an outcome may change to another, by the transition table; one state twice
    where there is one, and none of its name where there is none."""
    found = sorted(sources_of(MessageStatus(target)).intersection(_OPEN))
    return (str(found[0]), str(found[-1])) if found else ("", "")


def may_change(current: str, target: str) -> str:
    """The SQL condition under which an outcome may change a message's status, made from the
    transition table. current, target: SQL expressions."""
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
    """A message as the pipeline reads it, in the order of LOAD_COLUMNS.

    context, text and address are sealed bytes; options is JSON text or None.
    """

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
    context: bytes | None
    text: bytes | None
    address: bytes | None
    options: str | None
    expires_at: datetime | None
    collapse_key: str | None
    ordering_key: str | None
    is_test: bool
    scheduled_status: str | None
    provider: str | None = None  # where it may have been taken already: it stays there
    is_read: bool = False


class Change(NamedTuple):
    """One message's new facts, written by one statement for many.

    from_batch is the batch it was handled in: a message that has moved on meanwhile takes nothing.

    trail is a fragment of JSON arrays, appended. A None for content, batch_id, scheduled_at,
    sent_at or delivered_at leaves the column as it is.
    """

    id: int
    status: str
    attempts: int
    provider: str | None
    provider_message_id: str | None
    last_error: str | None
    trail: str
    content: bytes | None
    batch_id: int | None
    scheduled_at: datetime | None
    sent_at: datetime | None
    delivered_at: datetime | None
    from_batch: int


class Recheck(NamedTuple):
    """What is read once more while the batches are locked, in one statement.

    pending: the messages that still wait, with the batch that each is in.
    """

    pending: dict[int, int]
    stops: frozenset[tuple[str, str]]
    suppressed: set[str]

    @classmethod
    def of(cls, rows: Iterable[tuple[Any, ...]]) -> Recheck:
        """From rows of (what, name, value)."""
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
