"""Launches that nobody is at, gone on with: in turns, so that a great one holds up no small one."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import structlog
from django.db import transaction
from django.db.models import Q

from notifications.domain.broadcast_lifecycle import BroadcastStatus
from notifications.domain.errors import InvalidRequest
from notifications.features.background.items import Items, Rotation
from notifications.features.broadcasts.delivery.launch import continue_launch
from notifications.infra import clock
from notifications.models import Broadcast, Work, change_broadcast_status

QUIET = timedelta(seconds=2)
"""A launch that has not moved for so long has lost its process, or nearly: another takes it up. Two
at once write nothing twice."""
_launching = Rotation(100)
log = structlog.get_logger("carillon.broadcast")


def continue_launches(*, now: datetime, seconds: float = 5.0) -> int:
    """Goes on with launches that nobody is at; returns how many were finished.

    Bounded by time. Any number of processes may do this at once: those that another is at are left
    to it, unless it has been quiet for two seconds.
    """
    until = clock.monotonic() + seconds
    idle = Q(launch_moved_at__isnull=True) | Q(launch_moved_at__lt=now - QUIET)
    waiting = Broadcast.objects.filter(
        idle, status=BroadcastStatus.SENDING.value, messaged_done=False, job__isnull=False
    )
    items = Items(Work.LAUNCH, now=now)
    ids = _launching.next(items.runnable(waiting))
    finished = 0
    for place, broadcast_id in enumerate(ids):
        began = clock.monotonic()
        if began >= until:
            break
        share = (until - began) / (len(ids) - place)  # a great launch holds up no small one
        go_on = partial(_carry_on, broadcast_id, until=began + share, now=now)
        finished += items.run_one(broadcast_id, go_on, default=False)
    return finished


def _carry_on(broadcast_id: int, *, until: float, now: datetime) -> bool:
    try:
        return continue_launch(broadcast_id, until=until)
    except InvalidRequest as error:
        _hold(broadcast_id, error, now=now)
        return False


def refuse(broadcast_id: int, error: InvalidRequest, *, now: datetime) -> None:
    """A scheduled broadcast that cannot begin is a draft again, with the reason."""
    _stop(broadcast_id, BroadcastStatus.DRAFT, error, now=now)


def _hold(broadcast_id: int, error: InvalidRequest, *, now: datetime) -> None:
    """A launch that cannot go on is paused with the reason, for a person to mend."""
    _stop(broadcast_id, BroadcastStatus.PAUSED, error, now=now)


def _stop(
    broadcast_id: int, status: BroadcastStatus, error: InvalidRequest, *, now: datetime
) -> None:
    with transaction.atomic():
        locked = Broadcast.objects.select_for_update().get(pk=broadcast_id)
        entry = {"recipient_id": None, "error": error.detail, "timestamp": now.isoformat()}
        stopped = change_broadcast_status(
            broadcast_id,
            status,
            values={
                "error_log": [*locked.error_log, entry][-100:],
                "error_total": locked.error_total + 1,
            },
        )
    if stopped:
        log.error("broadcast.held", broadcast=broadcast_id, status=status, code=error.code)
