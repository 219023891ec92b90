"""Runs the periodic loops, and finds those that are silent.

A process claims a loop for ten seconds and renews the claim while the loop's thread makes progress.
So one process at a time runs a loop, and another claims it when that process dies or hangs. Plain
workers claim free loops. Where Celery's beat sends tasks, a pool process is a standby: it claims a
loop of which no round has ended lately, and releases it when a task requests it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog
from django.db import DatabaseError

from notifications.domain.loops import BY_NAME, LOOPS, LoopSpec
from notifications.features.background.work_probe import WorkProbe
from notifications.infra import clock
from notifications.infra.database.clock_bridge import database_now
from notifications.infra.process import identity as processes
from notifications.infra.process.supervised import Loop, LoopSupervisor
from notifications.models import KnownLoop, LoopReport, PeriodicLoop

log = structlog.get_logger("carillon.loops")
T = TypeVar("T")
CLAIM_S = 10.0
_RENEW_S = 3.0
_CLAIM_EVERY_S = 1.0
FAILING_AFTER_S = 120.0
NO_BEAT_AFTER_S = 60.0
_LONGEST_CLAIM_S = 60.0
_PATIENCE_PERIODS = 1.5
_RUNNER = "loops"
_PROBE_S = 1.0
_REST_S = 300.0
"""Seconds between the rounds of a loop for which the probe finds no work."""


@dataclass(frozen=True, slots=True)
class SilentLoop:
    """A loop that has not finished a round for too long."""

    name: str
    #: Seconds since its last round ended.
    age_s: float
    #: The error of its last round; empty for none.
    error: str = ""


def silent_loops() -> list[SilentLoop]:
    """Returns the loops that have not finished a round in three of their periods.

    Times are those of the database's clock. Where no process ever registered a loop, none is
    silent: the list of workers shows that no worker runs.
    """
    return [
        SilentLoop(row.name, row.silent_s, row.last_error)
        for row in PeriodicLoop.objects.known(BY_NAME)
        if row.silent_s > BY_NAME[row.name].silent_after_s
    ]


def silent_reason() -> str | None:
    """Returns one line that names the silent loops; None when there are none."""
    silent = silent_loops()
    if not silent:
        return None
    loops = (
        f"{each.name} for {each.age_s:.0f} s{f' ({each.error})' if each.error else ''}"
        for each in silent
    )
    return f"no round was finished of: {', '.join(loops)}; check that a worker runs, and its log"


def failing_reason() -> str | None:
    """Returns one line that names the loops whose last round failed and that are not silent yet.

    None when there are none. A loop is not named within two minutes of its last good round, because
    its next round is due.
    """
    failing = [
        f"{row.name} ({row.last_error})"
        for row in PeriodicLoop.objects.known(BY_NAME)
        if row.failures and FAILING_AFTER_S < row.silent_s <= BY_NAME[row.name].silent_after_s
    ]
    return f"the last round failed of: {', '.join(failing)}; see the log" if failing else None


def no_beat_reason(*, in_full: bool) -> str | None:
    """Returns one line that says that no process runs the schedule: neither beat nor a standby.

    None when one does. in_full: also name the process that ran the last round, and the time.
    """
    last = PeriodicLoop.objects.last_round([spec.name for spec in LOOPS if spec.by_beat])
    if last is None:
        text = "no round of the schedule was ever run"
    elif last.ago_s <= NO_BEAT_AFTER_S:
        return None
    else:
        text = f"no round of the schedule has run for {last.ago_s:.0f} s"
        if in_full and last.at is not None:
            text = f"{text}; {last.owner} ran the last, at {last.at:%Y-%m-%d %H:%M:%S} UTC"
    return f"no beat: {text}: start `carillon worker`, or `carillon beat` beside workers"


class LoopRunner:
    """Runs the periodic loops that this process has claimed.

    calls: what each loop does, by its name. owner: this process's name. standby: claim only loops
    of which no round has ended lately. beside: further threads, which need no claim. probe: tells
    which loops have work; a loop with a condition waits for it, and runs a round every five minutes
    besides.
    """

    def __init__(
        self,
        calls: Mapping[str, Callable[[], object]],
        *,
        owner: str,
        standby: bool = False,
        beside: Sequence[Loop] = (),
        probe: WorkProbe | None = None,
    ) -> None:
        self._owner = owner
        self._standby = standby
        self._claimed_until: dict[str, float] = {}
        self._releasing: set[str] = set()
        self._released_at: dict[str, float] = {}
        self._renewed_at = self._tried_at = -CLAIM_S
        self._registered = False
        self._loops = {
            name: Loop(
                name,
                call,
                every_s=BY_NAME[name].every_s,
                rests_s=_rest if probe is not None and name in probe.names else None,
                period_s=BY_NAME[name].period_s,
                allowed=self.owns,
            )
            for name, call in calls.items()
        }
        self._probe = probe
        runner = Loop(
            _RUNNER,
            self.tick,
            every_s=_CLAIM_EVERY_S,
            period_s=CLAIM_S,
            rests_s=lambda: _CLAIM_EVERY_S if self._wanted() or self._releasing else _RENEW_S,
        )
        beside = [runner, *beside]
        if probe is not None:
            beside.append(Loop("work probe", self.probe, every_s=_PROBE_S, period_s=CLAIM_S))
        self._supervisor = LoopSupervisor([*beside, *self._loops.values()])

    def start(self) -> None:
        """Starts the threads. Free loops are claimed within a second."""
        self._supervisor.start()

    def stop(self, seconds: float = 5.0) -> None:
        """Ends the threads after their rounds, and releases all loops.

        A round that takes longer than `seconds` ends with the process; its claim ends by time.
        """
        self._supervisor.stop(seconds)
        ended = [name for name, loop in self._loops.items() if not loop.is_alive()]
        reports = [self._report(name) for name in ended if name in self._claimed_until]
        self._claimed_until.clear()
        if reports:
            try:
                PeriodicLoop.objects.release(reports, owner=self._owner)
            except DatabaseError as error:
                log.warning("loops.unreleased", error=type(error).__name__)

    def poke(self, name: str) -> None:
        """Makes a loop begin its next round now, if this process has claimed it."""
        self._supervisor.poke(name)

    def owns(self, name: str) -> bool:
        """Returns whether this process is sure to have a loop's claim, by the monotonic clock."""
        return clock.monotonic() < self._claimed_until.get(name, 0.0)

    def probe(self) -> None:
        """Begins a round of each claimed loop that has work; notes that the others have none."""
        if self._probe is None:
            return
        names = {name for name in self._probe.names if name in self._loops and self.owns(name)}
        busy = self._probe.find(names, database_now())
        for name in names:
            if name in busy:
                self._loops[name].poke()
            else:
                self._loops[name].note_idle()

    def tick(self) -> None:
        """Renews the claims, releases the loops that tasks request, and claims free loops."""
        now_s = clock.monotonic()
        if not self._registered:
            PeriodicLoop.objects.register(BY_NAME[name] for name in self._loops)
            self._registered = True
        if now_s - self._renewed_at >= _RENEW_S:
            self._renew(now_s)
            self._release(now_s)
            self._renewed_at = now_s
        if now_s - self._tried_at >= _CLAIM_EVERY_S:
            self._claim_free(now_s)
            self._tried_at = now_s

    def _renew(self, now_s: float) -> None:
        claimed = [name for name in self._claimed_until if not self._loops[name].hangs()]
        if not claimed:
            return
        reports = [self._report(name) for name in claimed]
        renewed = PeriodicLoop.objects.renew(reports, owner=self._owner, claim_s=CLAIM_S)
        for name in self._claimed_until.keys() - renewed:
            del self._claimed_until[name]
            self._releasing.add(name)
        for name in renewed:
            self._set_owned(name, now_s)

    def _release(self, now_s: float) -> None:
        """Releases requested loops, and those whose claim was lost, once their round is over."""
        idle = [name for name in self._releasing if self._loops[name].began_at is None]
        if idle:
            reports = [self._report(name) for name in idle]
            PeriodicLoop.objects.release(reports, owner=self._owner)
            self._releasing.difference_update(idle)
            self._released_at.update(dict.fromkeys(idle, now_s))

    def _claim_free(self, now_s: float) -> None:
        wanted = self._wanted()
        if not wanted:
            return
        rows = _release_ended(PeriodicLoop.objects.known(wanted))
        if len(rows) < len(wanted):
            self._registered = False  # an older database was restored
        free = {row.name for row in rows if self._may_claim(row, now_s)}
        if free:
            claimed = PeriodicLoop.objects.claim(free, owner=self._owner, claim_s=CLAIM_S)
            for name in claimed:
                self._set_owned(name, now_s)
            stood_in = [name for name in sorted(claimed) if BY_NAME[name].by_beat]
            if self._standby and stood_in:
                log.warning("loops.stood-in", loops=stood_in)

    def _wanted(self) -> set[str]:
        return self._loops.keys() - self._claimed_until.keys() - self._releasing

    def _may_claim(self, row: KnownLoop, now_s: float) -> bool:
        spec = BY_NAME[row.name]
        if row.owner or not (self._standby and spec.by_beat):
            return not row.owner
        patience_s = spec.period_s * _PATIENCE_PERIODS
        rested_s = now_s - self._released_at.get(row.name, -patience_s)
        return min(row.silent_s, rested_s) > patience_s

    def _set_owned(self, name: str, now_s: float) -> None:
        resting = not self.owns(name)
        self._claimed_until[name] = now_s + CLAIM_S
        if resting:
            self._loops[name].poke()

    def _report(self, name: str) -> LoopReport:
        loop = self._loops[name]
        ended = loop.finished_at
        since = None if ended is None else max(0.0, clock.monotonic() - ended)
        return LoopReport(name, since, loop.failures, loop.error)


def _rest() -> float:
    return _REST_S


def _release_ended(rows: list[KnownLoop]) -> list[KnownLoop]:
    """Releases the loops of ended processes of this machine; returns the loops as they are then."""
    ended = {owner for row in rows if (owner := row.owner) and processes.has_ended(owner)}
    for owner in ended:
        PeriodicLoop.objects.release_all(owner)
    return [replace(row, owner="") if row.owner in ended else row for row in rows]


def run_round(spec: LoopSpec, call: Callable[[], T], *, owner: str = "") -> T | None:
    """Runs one round for a task; returns None where another process runs this loop.

    Raises:
        Exception: what the round raised; the loop's row gets its kind.
    """
    rows = PeriodicLoop.objects
    owner = owner or processes.own_name("task")
    claim_s = min(max(spec.period_s, CLAIM_S), _LONGEST_CLAIM_S)
    if not rows.claim([spec.name], owner=owner, claim_s=claim_s):
        if rows.request_release(spec.name):
            return None
        rows.register([spec])
        if not rows.claim([spec.name], owner=owner, claim_s=claim_s):
            return None
    try:
        result = call()
    except Exception as error:
        trace_id = secrets.token_hex(8)
        log.exception("loop.failed", loop=spec.name, trace_id=trace_id)
        text = f"{type(error).__name__} (trace {trace_id})"
        rows.release([LoopReport(spec.name, failures=1, error=text)], owner=owner)
        raise
    rows.release([LoopReport(spec.name, 0.0)], owner=owner)
    return result
