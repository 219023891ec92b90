"""The watchdog ends a worker that makes no progress although it could.

A worker whose heartbeat runs holds its leases, so no other worker can take its batches. If it
hangs, it must end; another process then takes its batches over.

A worker is stuck when all this holds at every beat of half a minute:

- the database responded;
- nothing was leased, prepared, journalled or recorded;
- no provider call was inside its time-out;
- there was work: a run of its own that waits for no service, or a batch that was due all that time
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
    """What a worker does at this moment."""

    #: Runs in progress.
    runs: int
    #: Runs that wait for rate limits or circuit breakers.
    waiting: int
    #: When each provider call in progress began, on the monotonic clock.
    calls: Sequence[float]
    #: Channels that may not be leased now, by lane.
    closed_channels: dict[Lane, list[str]]


class Watchdog:
    """Watches one worker, from the thread of its heartbeat.

    Args:
        activity: returns what the worker does.
        end: ends the process (tests pass their own).
    """

    def __init__(
        self,
        *,
        owner: str,
        lanes: Sequence[Lane],
        activity: Callable[[], WorkerActivity],
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._owner = owner
        self._lanes = list(lanes)
        self._activity = activity
        self._end = end
        self._progress_at = self._responding_since = self._checked_at = clock.monotonic()
        #: Since when beats find work and no progress, on the monotonic and the database's clock.
        self._idle_since: tuple[float, datetime] | None = None

    def progress(self) -> None:
        """Notes that something was leased, prepared, journalled or recorded."""
        self._progress_at = clock.monotonic()

    def check(self) -> None:
        """Ends the process when it is stuck. Called after each beat that reached the database."""
        now = clock.monotonic()
        if now - self._checked_at > STUCK_S / 2:
            self._responding_since = now  # the database was unavailable, or the process was stopped
        self._checked_at = now
        since = self._idle_since
        if since is None or max(self._progress_at, self._responding_since) >= since[0]:
            # A batch that is due only now has not waited all the time.
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
        """Returns why the worker counts as stuck if nothing changes; empty when it does not."""
        activity = self._activity()
        timeout_s = environment().provider_timeout_seconds + _CALL_GRACE_S
        if any(now - began < timeout_s for began in activity.calls):
            return ""
        if activity.runs > activity.waiting:
            return f"{activity.runs - activity.waiting} runs made no progress for {STUCK_S:g} s"
        if not batches.find_due(self._lanes):
            return ""
        stops = load_stops()
        if stops.everything:
            return ""
        for lane in self._lanes:
            closed = [*activity.closed_channels.get(lane, ()), *stops.values("channel")]
            if batches.may_lease(lane, closed, stops.values("source"), now=due_since):
                return f"a due batch of lane {lane} was not leased for {STUCK_S:g} s"
        return ""
