"""Finds whether an idle worker needs a turn, in one or two statements of some 50 us.

A turn of a worker runs a dozen statements.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import connection

from notifications.domain.channels import Lane
from notifications.queue import batches

_LOOK = (
    "SELECT EXISTS (SELECT 1 FROM notifications_workerprocess WHERE owner <> %s)"
    " OR EXISTS (SELECT 1 FROM notifications_providerflow WHERE open_until > 0 OR next_at > %s),"
    " EXISTS (SELECT 1 FROM notifications_deliverybatch)"
)
EMPTY_S = 1.0
"""Seconds until an idle worker looks again, where no batch waits for its time. A new one wakes
it."""


def next_look_s(lanes: Iterable[Lane], *, owner: str, now: datetime, poll_s: float) -> float:
    """Returns the seconds after which this worker should look again; 0 where it needs a turn.

    It needs one for a due batch, beside another process, whose batches may have to be taken over,
    and while a service is in trouble.
    """
    now_us = int(now.timestamp() * 1_000_000)
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, [owner, now_us])
        needed, waiting = cursor.fetchone()
    if needed or (waiting and batches.find_due(lanes)):
        return 0.0
    return poll_s if waiting else max(poll_s, EMPTY_S)
