"""Finds whether an idle worker needs a turn, in one or two statements of some 50 us.

A turn of a worker runs a dozen statements.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from notifications.domain.channels import Lane
from notifications.queue import batches

_LOOK = (
    "SELECT EXISTS (SELECT 1 FROM notifications_workerprocess WHERE owner <> %s),"
    " EXISTS (SELECT 1 FROM notifications_providerflow WHERE open_until > 0 OR next_at > %s),"
    " EXISTS (SELECT 1 FROM notifications_deliverybatch)"
)
EMPTY_S = 1.0
"""Seconds until an idle worker looks again, where no batch waits for its time. A new one wakes
it."""


class Look(NamedTuple):
    """What an idle worker found."""

    #: Seconds after which it should look again; 0 where it needs a turn: for a due batch, and
    #: while a service is in trouble.
    rest_s: float
    #: Whether there are other processes, whose batches may have to be taken over.
    has_others: bool


def look(lanes: Iterable[Lane], *, owner: str, now: datetime, poll_s: float) -> Look:
    """Looks whether this worker needs a turn. poll_s: the pause while batches wait for a time."""
    now_us = int(now.timestamp() * 1_000_000)
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, [owner, now_us])
        others, troubled, waiting = cursor.fetchone()
    if troubled or (waiting and batches.find_due(lanes)):
        return Look(0.0, bool(others))
    return Look(poll_s if waiting else max(poll_s, EMPTY_S), bool(others))
