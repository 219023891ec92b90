"""Continues launches without a process, in turns, so that a large one delays no small one."""

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
"""After so long without progress another process continues a launch. Should the first process
still run, the two write nothing twice."""
_launching = Rotation(100)
log = structlog.get_logger("carillon.broadcast")


def continue_launches(*, now: datetime, seconds: float = 5.0) -> int:
    """Continues launches without a process; returns how many were finished.

    Takes about `seconds` at most. Any number of processes may do this at once. A launch on which
    another process works is left to it, unless it has made no progress for two seconds.
    """
    until = clock.monotonic() + seconds
    idle = Q(launch_moved_at__isnull=True) | Q(launch_moved_at__lt=now - QUIET)
    ready = Q(throttled_until__isnull=True) | Q(throttled_until__lte=now)
    waiting = Broadcast.objects.filter(
        idle, ready, status=BroadcastStatus.SENDING.value, messaged_done=False, job__isnull=False
    )
    items = Items(Work.LAUNCH, now=now)
    ids = _launching.next(items.runnable(waiting))
    finished = 0
    for place, broadcast_id in enumerate(ids):
        began = clock.monotonic()
        if began >= until:
            break
        share = (until - began) / (len(ids) - place)  # a large launch delays no small one
        work = partial(_continue, broadcast_id, until=began + share, now=now)
        finished += items.run_one(broadcast_id, work, default=False)
    return finished


def _continue(broadcast_id: int, *, until: float, now: datetime) -> bool:
    try:
        return continue_launch(broadcast_id, until=until)
    except InvalidRequest as error:
        _pause(broadcast_id, error, now=now)
        return False


def refuse(broadcast_id: int, error: InvalidRequest, *, now: datetime) -> None:
    """Makes a scheduled broadcast that cannot begin a draft again, with the reason in its log."""
    _stop(broadcast_id, BroadcastStatus.DRAFT, error, now=now)


def _pause(broadcast_id: int, error: InvalidRequest, *, now: datetime) -> None:
    """Pauses a launch that cannot continue, with the reason in its log, for a person to fix."""
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
