"""Ends a worker that makes no progress although it could: another process takes its work over.

A worker whose heartbeat lives keeps its leases. If it hangs, nobody else may work on what it holds,
so it must not live on. It is stuck when, at every beat of half a minute, the database answered,
nothing was leased, prepared, journalled or recorded, no provider call was inside its time-out, and
there was work: a run of its own that waits for no service, or a batch that was due all that time
and that it may lease.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

import structlog

from notifications.domain.channels import Lane
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.database.clock_bridge import database_now
from notifications.models import WorkerProcess
from notifications.policy.facts import load_stops
from notifications.queue import batches

log = structlog.get_logger("carillon.watchdog")
STUCK_S = 30.0
EXIT_CODE = 70
"""EX_SOFTWARE of sysexits(3): supervisors start the process again."""
_CALL_GRACE_S = 5.0


class WorkerActivity(NamedTuple):
    """What a worker does at this moment.

    runs: runs under way; waiting: those of them that wait for limits or breakers. calls: monotonic
    starts of hand-overs under way. closed_channels: by lane, channels that it may not lease now.
    """

    runs: int
    waiting: int
    calls: Sequence[float]
    closed_channels: dict[Lane, list[str]]


class Watchdog:
    """Watches one worker, from the thread of its heartbeat.

    Args:
        doing: tells what the worker does.
        end: ends the process (tests hand in their own).
    """

    def __init__(
        self,
        *,
        owner: str,
        lanes: Sequence[Lane],
        doing: Callable[[], WorkerActivity],
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._owner = owner
        self._lanes = list(lanes)
        self._doing = doing
        self._end = end
        self._progress_at = self._answered_since = self._looked_at = clock.monotonic()
        #: Since when each beat saw work and no progress, on the monotonic and the database's clock.
        self._idle_since: tuple[float, datetime] | None = None

    def progress(self) -> None:
        """Something was leased, prepared, journalled or recorded."""
        self._progress_at = clock.monotonic()

    def look(self) -> None:
        """Called after each beat that reached the database. Ends the process when it is stuck."""
        now = clock.monotonic()
        if now - self._looked_at > STUCK_S / 2:
            self._answered_since = now  # the database was away, or the process was stopped
        self._looked_at = now
        since = self._idle_since
        if since is None or max(self._progress_at, self._answered_since) >= since[0]:
            # What has just fallen due, or was let go, is not what nobody took all the time.
            since = (now, database_now())
        reason = self._stuck_on(now, since[1])
        self._idle_since = since if reason else None
        if not reason or now - since[0] < STUCK_S:
            return
        log.critical("worker.stuck", owner=self._owner, reason=reason)
        faulthandler.dump_traceback(sys.__stderr__ or 2)
        WorkerProcess.objects.filter(owner=self._owner).update(
            ended_at=database_now(), ended_reason=reason
        )
        self._end(EXIT_CODE)

    def _stuck_on(self, now: float, due_since: datetime) -> str:
        """Why the worker counts as stuck, if this stays so; empty when it does not."""
        doing = self._doing()
        timeout_s = environment().provider_timeout_seconds + _CALL_GRACE_S
        if any(now - began < timeout_s for began in doing.calls):
            return ""
        if doing.runs > doing.waiting:
            return f"{doing.runs - doing.waiting} runs made no progress for {STUCK_S:g} s"
        stops = load_stops()
        if stops.everything:
            return ""
        for lane in self._lanes:
            closed = [*doing.closed_channels.get(lane, ()), *stops.values("channel")]
            if batches.may_lease(lane, closed, stops.values("source"), now=due_since):
                return f"a due batch of lane {lane} was not leased for {STUCK_S:g} s"
        return ""
