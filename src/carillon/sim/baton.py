"""A scheduler of real threads, of which one runs at a time: the one that has the baton.

The baton passes to another thread at ports. A seeded generator chooses the next thread, so a seed
always gives the same interleaving. Time is virtual: it advances a little at each step, and jumps
to the next deadline when all threads wait. A process is a group of threads that can be killed or
stopped between any two ports.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

_STEP_S = 0.0002
_TRAIL = 400
_PATIENCE_S = 0.02
T = TypeVar("T")


class Killed(BaseException):
    """Raised at each port of a killed process, so that its threads end."""


class Stuck(Exception):
    """No thread can ever run again, or the run exceeded its limit of steps."""


@dataclass(eq=False)
class Process:
    """A simulated process: its threads live and die together."""

    name: str
    alive: bool = True
    stopped_until: float = 0.0
    #: Called at the kill itself, for example to close database connections.
    on_kill: list[Callable[[], None]] = field(default_factory=list)


@dataclass(eq=False)
class Strand:
    """A thread of a process, and what it waits for."""

    number: int
    name: str
    process: Process
    #: It is ended when all other threads have ended.
    daemon: bool
    #: Locked until its turn comes. A plain lock costs less than a semaphore of the library.
    turn: threading.Lock = field(default_factory=lambda: _locked())
    ready: Callable[[], bool] | None = None
    #: On the virtual clock, in seconds.
    deadline: float | None = None
    ended: bool = False
    label: str = "start"
    #: Since when it is in a call that another thread may block (real time, s).
    outside_since: float | None = None
    is_detached: bool = False


class Baton:
    """The scheduler of one run.

    Args:
        seed: determines every choice of the scheduler.
        most_steps: a run with more steps is `Stuck`.
    """

    def __init__(self, seed: int, *, most_steps: int = 60_000) -> None:
        self.random = random.Random(seed)
        self.now_s = 0.0
        self.steps = 0
        #: A checksum of the interleaving: two equal runs have the same.
        self.checksum = 0
        self.trail: deque[str] = deque(maxlen=_TRAIL)
        self.at_step: Callable[[], None] = lambda: None
        self.failure: BaseException | None = None
        self._most_steps = most_steps
        self._switches = self.random.choice((0.03, 0.15, 0.5, 0.9))
        self._strands: list[Strand] = []
        self._numbers = itertools.count(1)
        self._local = threading.local()
        self._done = threading.Event()
        self._holder: Strand | None = None
        self._guard = threading.RLock()

    # -- threads ---------------------------------------------------------------------------------

    @property
    def current(self) -> Strand:
        """The calling thread."""
        found: Strand = self._local.strand
        return found

    def is_inside(self) -> bool:
        """Whether the calling thread belongs to the simulation."""
        return hasattr(self._local, "strand")

    def spawn(
        self, process: Process, name: str, target: Callable[[], object], *, daemon: bool = False
    ) -> Strand:
        """Creates a thread that begins when its turn comes."""
        strand = Strand(next(self._numbers), f"{process.name}/{name}", process, daemon)
        self._strands.append(strand)
        thread = threading.Thread(target=self._live, args=[strand, target], daemon=True)
        thread.start()
        return strand

    def _live(self, strand: Strand, target: Callable[[], object]) -> None:
        self._local.strand = strand
        strand.turn.acquire()
        try:
            if strand.process.alive:
                target()
        except Killed:
            pass
        except BaseException as error:
            self.trail.append(f"{strand.name} raised {type(error).__name__}: {error}")
            if strand.process.alive and self.failure is None:
                self.failure = error
        finally:
            strand.ended = True
            self._strands.remove(strand)
            self._hand_over()

    # -- ports -----------------------------------------------------------------------------------

    def step(self, label: str) -> None:
        """Marks a port: another thread may run from here.

        Raises:
            Killed: the process of the calling thread was killed.
        """
        strand = self.current
        strand.label, strand.ready, strand.deadline = label, None, None
        self._count(strand)
        if self.random.random() < self._switches or strand.process.stopped_until > self.now_s:
            self._switch(strand)
        self._check(strand)

    def wait(self, ready: Callable[[], bool], timeout: float | None, label: str) -> bool:
        """Waits until `ready` is true, at most `timeout` seconds; returns whether it is.

        Raises:
            Killed: the process of the calling thread was killed.
        """
        strand = self.current
        deadline = None if timeout is None else self.now_s + max(0.0, timeout)
        strand.label, strand.ready, strand.deadline = label, ready, deadline
        self._count(strand)
        self._switch(strand)
        self._check(strand)
        return ready()

    def outside(self, call: Callable[[], T], label: str) -> T:
        """Marks a port, and runs a call that may wait in a server for another thread's lock.

        After 20 ms of real time, the other threads continue without the calling thread.

        Raises:
            Killed: the process of the calling thread was killed.
        """
        self.step(label)
        strand = self.current
        strand.outside_since = time.monotonic()
        try:
            return call()
        finally:
            self._come_back(strand)
            self._check(strand)

    def _come_back(self, strand: Strand) -> None:
        with self._guard:
            strand.outside_since = None
            if not strand.is_detached:
                return
            strand.is_detached = False
            if self._holder is None:
                self._holder = strand
                return
        strand.turn.acquire()

    def _detach_blocked(self) -> None:
        """Passes the baton on from a thread whose call is blocked."""
        with self._guard:
            strand = self._holder
            since = strand.outside_since if strand is not None else None
            if strand is None or since is None or time.monotonic() - since < _PATIENCE_S:
                return
            strand.is_detached = True
            self._hand_over()

    def kill(self, process: Process) -> None:
        """Ends a process at once, as SIGKILL does: none of its threads runs again."""
        self.trail.append(f"{self.now_s:9.4f} KILL {process.name}")
        process.alive = False
        for action in process.on_kill:
            action()

    def stop(self, process: Process, seconds: float) -> None:
        """Stops a process for some time, as SIGSTOP does."""
        self.trail.append(f"{self.now_s:9.4f} STOP {process.name} {seconds:g} s")
        process.stopped_until = self.now_s + seconds

    # -- the run ---------------------------------------------------------------------------------

    def run(self, real_seconds: float = 60.0) -> None:
        """Runs the threads until all have ended.

        Raises:
            Stuck: the threads cannot end.
            BaseException: a thread of a living process raised it.
        """
        self._hand_over()
        until = time.monotonic() + real_seconds
        while not self._done.wait(_PATIENCE_S):
            self._detach_blocked()
            if time.monotonic() > until:
                raise Stuck(f"{self.current_labels()} after {real_seconds:g} s of real time")
        if self.failure is not None:
            raise self.failure

    def current_labels(self) -> str:
        """Returns the port of every thread, for a report."""
        return ", ".join(f"{strand.name} at {strand.label}" for strand in self._strands)

    def _count(self, strand: Strand) -> None:
        self.steps += 1
        self.now_s += _STEP_S
        line = f"{self.now_s:9.4f} {strand.name}: {strand.label}"
        self.checksum = zlib.crc32(line.encode(), self.checksum)
        self.trail.append(line)
        if strand.process.alive:
            self.at_step()
        if self.steps > self._most_steps:
            self._give_up(Stuck(f"{self._most_steps:,} steps: {self.current_labels()}"))

    def _check(self, strand: Strand) -> None:
        if not strand.process.alive:
            raise Killed
        strand.ready = strand.deadline = None

    def _switch(self, strand: Strand) -> None:
        with self._guard:
            chosen = self._holder = self._choose()
        if chosen is strand:
            return
        if chosen is not None:
            chosen.turn.release()
        strand.turn.acquire()

    def _hand_over(self) -> None:
        with self._guard:
            chosen = self._holder = self._choose()
        if chosen is not None:
            chosen.turn.release()

    def _choose(self) -> Strand | None:
        if self.failure is not None:
            for strand in self._strands:
                strand.process.alive = False
        if all(strand.daemon for strand in self._strands):
            for strand in self._strands:
                strand.process.alive = False
        if not self._strands:
            self._done.set()
            return None
        while not (able := [strand for strand in self._strands if self._can_run(strand)]):
            if any(strand.is_detached for strand in self._strands):
                return None  # the detached thread that returns first continues
            moments = [moment for strand in self._strands if (moment := _wakes_at(strand))]
            if not moments:
                self._give_up(Stuck(f"no thread can continue: {self.current_labels()}"))
                return self._choose()
            self.now_s = max(self.now_s, min(moments))
        return self.random.choice(able) if len(able) > 1 else able[0]

    def _can_run(self, strand: Strand) -> bool:
        if strand.is_detached:
            return False
        if not strand.process.alive:
            return True  # to end
        if strand.process.stopped_until > self.now_s:
            return False
        if strand.deadline is not None and strand.deadline <= self.now_s:
            return True
        return strand.ready is None or strand.ready()

    def _give_up(self, error: BaseException) -> None:
        if self.failure is None:
            self.failure = error
        for strand in self._strands:
            strand.process.alive = False


def _locked() -> threading.Lock:
    made = threading.Lock()
    made.acquire()
    return made


def _wakes_at(strand: Strand) -> float | None:
    """Returns when a thread can continue by time alone; None: it needs another thread."""
    stopped = strand.process.stopped_until
    if strand.ready is None:
        return stopped or None
    if strand.deadline is None:
        return stopped if stopped and strand.ready() else None
    return max(strand.deadline, stopped)
