"""Who runs the periodic loops, and which of them are silent.

A process holds a loop by a claim of ten seconds that it renews while the loop's thread is well, so
that one process at a time runs it and another takes it over when that one dies or hangs. Plain
workers take what is free. Where Celery's beat sends tasks, a pool process only stands in: it takes
a loop that nobody finished a round of lately, and lets it go when a task asks for it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog
from django.db import DatabaseError

from notifications.domain.loops import BY_NAME, LOOPS, LoopSpec
from notifications.infra import clock
from notifications.infra.process import identity as processes
from notifications.infra.process.supervised import Loop, LoopSupervisor
from notifications.models import KnownLoop, LoopReport, PeriodicLoop

log = structlog.get_logger("carillon.loops")
T = TypeVar("T")
CLAIM_S = 10.0
_RENEW_S = 3.0
_LOOK_S = 1.0
FAILING_AFTER_S = 120.0
NO_BEAT_AFTER_S = 60.0
_LONGEST_HOLD_S = 60.0
_PATIENCE_PERIODS = 1.5
_KEEPER = "loops"


@dataclass(frozen=True, slots=True)
class SilentLoop:
    """A loop that has not finished a round for `age_s` seconds. error: what its last one met."""

    name: str
    age_s: float
    error: str = ""


def silent_loops() -> list[SilentLoop]:
    """Loops that have not finished a round in three of their periods, by the database's clock.

    Where no process ever registered a loop none is silent: that nobody works at all is told by the
    list of workers.
    """
    return [
        SilentLoop(row.name, row.silent_s, row.last_error)
        for row in PeriodicLoop.objects.known(BY_NAME)
        if row.silent_s > BY_NAME[row.name].silent_after_s
    ]


def silent_reason() -> str | None:
    """One line that names the silent loops; None when there are none."""
    silent = silent_loops()
    if not silent:
        return None
    told = (
        f"{each.name} for {each.age_s:.0f} s{f' ({each.error})' if each.error else ''}"
        for each in silent
    )
    return f"no round was finished of: {', '.join(told)}; does a worker run? See its log"


def failing_reason() -> str | None:
    """One line that names the loops whose last round failed and that are not silent yet; None when
    there are none. One that recovers within two minutes is not named: its next round is due."""
    failing = [
        f"{row.name} ({row.last_error})"
        for row in PeriodicLoop.objects.known(BY_NAME)
        if row.failures and FAILING_AFTER_S < row.silent_s <= BY_NAME[row.name].silent_after_s
    ]
    return f"the last round failed of: {', '.join(failing)}; see the log" if failing else None


def no_beat_reason(*, in_full: bool) -> str | None:
    """Says that nobody runs the schedule: neither beat's tasks nor a process that stands by; None
    when somebody does. in_full: with the process that ran the last round, and when."""
    last = PeriodicLoop.objects.last_round([spec.name for spec in LOOPS if spec.by_beat])
    if last is None:
        told = "nobody has ever run a round of the schedule"
    elif last.ago_s <= NO_BEAT_AFTER_S:
        return None
    else:
        told = f"nobody has run a round of the schedule for {last.ago_s:.0f} s"
        if in_full and last.at is not None:
            told = f"{told}; {last.owner} ran the last, at {last.at:%Y-%m-%d %H:%M:%S} UTC"
    return f"no beat: {told}: start `carillon worker`, or `carillon beat` beside workers"


class LoopRunner:
    """Runs the periodic loops of this process, those that it holds.

    calls: what each loop does, by its name. owner: this process's name. standby: take only what
    nobody finished a round of lately. beside: further threads that need no claim.
    """

    def __init__(
        self,
        calls: Mapping[str, Callable[[], object]],
        *,
        owner: str,
        standby: bool = False,
        beside: Sequence[Loop] = (),
    ) -> None:
        self._owner = owner
        self._standby = standby
        self._held_until: dict[str, float] = {}
        self._leaving: set[str] = set()
        self._let_go_at: dict[str, float] = {}
        self._renewed_at = self._looked_at = -CLAIM_S
        self._registered = False
        self._loops = {
            name: Loop(
                name,
                call,
                every_s=BY_NAME[name].every_s,
                period_s=BY_NAME[name].period_s,
                allowed=self.owns,
            )
            for name, call in calls.items()
        }
        keeper = Loop(_KEEPER, self.tick, every_s=_LOOK_S, period_s=CLAIM_S)
        self._supervisor = LoopSupervisor([keeper, *beside, *self._loops.values()])

    def start(self) -> None:
        """Starts the threads. What is free is taken within a second."""
        self._supervisor.start()

    def stop(self, seconds: float = 5.0) -> None:
        """Ends the threads after their rounds and lets all loops go.

        A round that takes longer is left to end with the process; its claim ends by time.
        """
        self._supervisor.stop(seconds)
        ended = [name for name, loop in self._loops.items() if not loop.is_alive()]
        reports = [self._report(name) for name in ended if name in self._held_until]
        self._held_until.clear()
        if reports:
            try:
                PeriodicLoop.objects.release(reports, owner=self._owner)
            except DatabaseError as error:
                log.warning("loops.unreleased", error=type(error).__name__)

    def poke(self, name: str) -> None:
        """Has a loop begin its next round now, if this process holds it."""
        self._supervisor.poke(name)

    def owns(self, name: str) -> bool:
        """Whether this process surely holds a loop, by the monotonic clock."""
        return clock.monotonic() < self._held_until.get(name, 0.0)

    def tick(self) -> None:
        """Renews what is held, lets go what was asked for, and takes what is free."""
        asked_at = clock.monotonic()
        if not self._registered:
            PeriodicLoop.objects.register(BY_NAME[name] for name in self._loops)
            self._registered = True
        if asked_at - self._renewed_at >= _RENEW_S:
            self._renew(asked_at)
            self._let_go(asked_at)
            self._renewed_at = asked_at
        if asked_at - self._looked_at >= _LOOK_S:
            self._take(asked_at)
            self._looked_at = asked_at

    def _renew(self, asked_at: float) -> None:
        held = [name for name in self._held_until if not self._loops[name].hangs()]
        if not held:
            return
        reports = [self._report(name) for name in held]
        kept = PeriodicLoop.objects.renew(reports, owner=self._owner, claim_s=CLAIM_S)
        for name in self._held_until.keys() - kept:
            del self._held_until[name]
            self._leaving.add(name)
        for name in kept:
            self._hold(name, asked_at)

    def _let_go(self, asked_at: float) -> None:
        """Frees what was asked for, or lost, once its round is over."""
        idle = [name for name in self._leaving if self._loops[name].began_at is None]
        if idle:
            reports = [self._report(name) for name in idle]
            PeriodicLoop.objects.release(reports, owner=self._owner)
            self._leaving.difference_update(idle)
            self._let_go_at.update(dict.fromkeys(idle, asked_at))

    def _take(self, asked_at: float) -> None:
        wanted = self._loops.keys() - self._held_until.keys() - self._leaving
        if not wanted:
            return
        rows = _freed_of_the_dead(PeriodicLoop.objects.known(wanted))
        if len(rows) < len(wanted):
            self._registered = False  # an older database was restored
        free = {row.name for row in rows if self._may_take(row, asked_at)}
        if free:
            taken = PeriodicLoop.objects.claim(free, owner=self._owner, claim_s=CLAIM_S)
            for name in taken:
                self._hold(name, asked_at)
            stood_in = [name for name in sorted(taken) if BY_NAME[name].by_beat]
            if self._standby and stood_in:
                log.warning("loops.stood-in", loops=stood_in)

    def _may_take(self, row: KnownLoop, asked_at: float) -> bool:
        spec = BY_NAME[row.name]
        if row.owner or not (self._standby and spec.by_beat):
            return not row.owner
        patience_s = spec.period_s * _PATIENCE_PERIODS
        rested_s = asked_at - self._let_go_at.get(row.name, -patience_s)
        return min(row.silent_s, rested_s) > patience_s

    def _hold(self, name: str, asked_at: float) -> None:
        resting = not self.owns(name)
        self._held_until[name] = asked_at + CLAIM_S
        if resting:
            self._loops[name].poke()

    def _report(self, name: str) -> LoopReport:
        loop = self._loops[name]
        ended = loop.finished_at
        since = None if ended is None else max(0.0, clock.monotonic() - ended)
        return LoopReport(name, since, loop.failures, loop.error)


def _freed_of_the_dead(rows: list[KnownLoop]) -> list[KnownLoop]:
    """The loops, those that a process of this machine held which has ended free again."""
    ended = {owner for row in rows if (owner := row.owner) and processes.has_ended(owner)}
    for owner in ended:
        PeriodicLoop.objects.release_all(owner)
    return [replace(row, owner="") if row.owner in ended else row for row in rows]


def run_round(spec: LoopSpec, call: Callable[[], T], *, owner: str = "") -> T | None:
    """Runs one round for a task, unless another process runs this loop: then None.

    Raises:
        Exception: whatever the round raised; it is noted in the loop's row.
    """
    rows = PeriodicLoop.objects
    owner = owner or processes.own_name("task")
    claim_s = min(max(spec.period_s, CLAIM_S), _LONGEST_HOLD_S)
    if not rows.claim([spec.name], owner=owner, claim_s=claim_s):
        if rows.request_release(spec.name):
            return None
        rows.register([spec])
        if not rows.claim([spec.name], owner=owner, claim_s=claim_s):
            return None
    try:
        answer = call()
    except Exception as error:
        trace_id = secrets.token_hex(8)
        log.exception("loop.failed", loop=spec.name, trace_id=trace_id)
        told = f"{type(error).__name__} (trace {trace_id})"
        rows.release([LoopReport(spec.name, failures=1, error=told)], owner=owner)
        raise
    rows.release([LoopReport(spec.name, 0.0)], owner=owner)
    return answer
