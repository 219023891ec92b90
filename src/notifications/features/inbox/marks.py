"""What clients say that they received and showed, for many people at once.

Neither is an event: it changes nothing that a client shows.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import NamedTuple

from django.db import connection, transaction

from notifications.domain.channels import Channel
from notifications.domain.lifecycle import MessageStatus
from notifications.features.inbox.reading import fetch
from notifications.infra import clock
from notifications.models import InboxArrival, NotificationMessage
from notifications.models.delivery.message import change_status

_AT_ONCE = 500
_RECEIVED = "acknowledged"


class Received(NamedTuple):
    """A span of positions that a client of a person has received."""

    user_id: int
    #: The position before the span.
    after: int
    up_to: int


_SENT = (
    " SELECT m.id FROM v JOIN notifications_inboxarrival a"  # noqa: S608 -- constant text
    " ON a.user_id = v.user_id AND a.seq > v.after AND a.seq <= v.up_to"
    " JOIN notifications_notificationmessage m ON m.notification_id = a.id"
    f" WHERE m.channel = '{Channel.WEBSOCKET}' AND m.status = '{MessageStatus.SENT}'"
    f" ORDER BY m.id LIMIT {_AT_ONCE}"
)
_SPANS = {
    "postgresql": "WITH v AS (SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[])"
    " AS v(user_id, after, up_to))",
    "sqlite": "WITH v AS (SELECT value ->> 0 AS user_id, value ->> 1 AS after,"
    " value ->> 2 AS up_to FROM json_each(%s))",
}


def mark_received(spans: Collection[Received]) -> int:
    """Makes the websocket messages in the spans delivered; returns how many became so.

    It locks messages only, in the order of their keys, some hundreds at once.
    """
    done = 0
    while keys := _sent_in(spans):
        done += _deliver(keys)  # another process may have delivered some of them
        if len(keys) < _AT_ONCE:
            break
    return done


def _sent_in(spans: Collection[Received]) -> list[int]:
    """Returns the keys of the websocket messages in the spans that are sent: the first ones."""
    if not spans:
        return []
    if connection.vendor == "postgresql":
        values: list[object] = [list(column) for column in zip(*spans, strict=True)]
    else:
        values = [json.dumps(list(spans))]
    return [key for (key,) in fetch(_SPANS[connection.vendor] + _SENT, values)]


def _deliver(keys: list[int]) -> int:
    at = clock.now()
    with transaction.atomic():
        rows = NotificationMessage.objects.filter(pk__in=keys, status=MessageStatus.SENT)
        locked = list(rows.select_for_update().order_by("pk").values_list("pk", flat=True))
        moved = change_status(
            locked,
            MessageStatus.DELIVERED,
            reason=_RECEIVED,
            at=at,
            only_from=frozenset({MessageStatus.SENT}),
            fields={"delivered_at": at},
        )
    return len(moved)


def mark_all_seen(seen: Iterable[tuple[int, int]]) -> int:
    """Notes that visible documents showed arrivals; returns how many were not shown before.

    It stops their fallback to other channels.

    Args:
        seen: people, each with the key of a notification. Keys of other people's are ignored.
    """
    wanted = set(seen)
    keys = sorted({key for _, key in wanted})
    done = 0
    for start in range(0, len(keys), _AT_ONCE):
        part = keys[start : start + _AT_ONCE]
        rows = InboxArrival.objects.filter(pk__in=part, seen_at__isnull=True)
        own = [key for key, user in rows.values_list("pk", "user_id") if (user, key) in wanted]
        done += InboxArrival.objects.filter(pk__in=own, seen_at__isnull=True).update(
            seen_at=clock.now()
        )
    return done
