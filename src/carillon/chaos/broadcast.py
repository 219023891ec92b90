"""Chaos for broadcasts: workers die at random moments while two broadcasts are sent.

One broadcast is paused and resumed, the other is cancelled halfway, and failed recipients are
retried. An SMTP server counts the mails that arrive.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from typing import Any

from carillon.bench.harness.environment import BenchEnvironment, Observer, machine
from carillon.chaos import ArrivalCounter, ProcessGroup, mail_environment
from notifications.testing.loopback import Act
from notifications.testing.servers import SMTPSink

_REFUSED_SHARE = 0.03
_DRAIN_S = 600.0
_BEGUN_S = 60.0
_A_STEP = 15_000  # recipients per step: with more steps, kills are further apart


class _RefusingCounter(ArrivalCounter):
    """Counts arrivals, and sometimes refuses a mail permanently."""

    def script(self, verb: str, _line: str) -> bytes | Act | None:
        refused = verb == "END" and self._random.random() < _REFUSED_SHARE
        return b"554 5.6.0 not this one\r\n" if refused else None


class _ControlClient(Observer):
    """Controls broadcasts, and compares counters with recipients all the time."""

    def __init__(self, env: BenchEnvironment) -> None:
        super().__init__(env, "steer")
        self.wrong: list[str] = []
        self.checks = 0
        self._one = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def query(self, *words: str) -> Any:
        with self._one:
            return super().query(*words)

    def watch(self) -> None:
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            self.wrong += self.query("check")
            self.checks += 1

    def end(self) -> None:
        self._ended.set()
        self._thread.join()
        self.query("end")


def run(
    *,
    database: str = "postgres",
    kills: int = 20,
    recipients: int = 100_000,
    workers: int = 2,
    per_s: int = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """Sends two broadcasts to half of the recipients each and kills workers `kills` times.

    per_s: the mails that all workers together may send a second; 0: no limit.

    Returns:
        states: recipients by state. The cancelled broadcast has only those that were written.
        total: recipients of the broadcast that is not cancelled.
        arrived: mails.
        lost: sent, but never arrived.
        unrecorded: arrived, though neither sent nor ever uncertain.
        twice: arrived twice, though never uncertain.
        repeated: arrived twice.
        invariant_checks, invariant_broken, cancel_ms, retried.
    """
    seed = seed or random.SystemRandom().randrange(1, 1_000_000)
    chance = random.Random(seed)
    arrivals = _RefusingCounter(seed)
    sink = SMTPSink(store=False, on_mail=arrivals.record, script=arrivals.script)
    limits = f"smtp={per_s}/s" if per_s else "smtp=off"
    began = time.monotonic()
    with sink.run_in_thread(), mail_environment(database, sink, rate_limits=limits) as env:
        env.run("halves", recipients)
        control = _ControlClient(env)
        group = ProcessGroup(env, workers, role="carrier")
        completed, stopped = control.query("launch", "Even"), control.query("launch", "Odd")
        control.watch()
        broadcasts, stretch = (completed, stopped), recipients / _A_STEP
        cancelled = _disturb_workers(group, control, chance, kills, broadcasts, stretch)
        _wait_until_drained(control)
        retried = control.query("retry", str(completed))
        _wait_until_drained(control)
        group.stop()
        tally, progress = control.query("tally"), control.query("progress", str(completed))
        control.end()
    return {
        "database": database,
        "seed": seed,
        "kills": kills,
        "recipients": recipients,
        "seconds": round(time.monotonic() - began, 1),
        "total": progress["total"],
        **_judge(tally, arrivals.by_reference),
        "retried": retried.get("count", 0),
        "cancel_ms": round(cancelled.get("ms", 0.0), 1),
        "cancelled_after": cancelled.get("sent", 0),
        "invariant_checks": control.checks,
        "invariant_broken": control.wrong[:5],
        **machine(),
    }


def is_wrong(figures: dict[str, Any]) -> bool:
    """Whether a run found a fault."""
    states = figures["states"]
    return bool(
        figures["lost"]
        or figures["unrecorded"]
        or figures["twice"]
        or figures["invariant_broken"]
        or states.get("pending", 0)
        or figures["total"] != (figures["recipients"] + 1) // 2
    )


def _disturb_workers(
    group: ProcessGroup,
    control: Observer,
    chance: random.Random,
    kills: int,
    broadcasts: tuple[int, int],
    stretch: float,
) -> dict[str, Any]:
    """Kills one worker at a time, with commands in between; returns the cancellation's result."""
    completed, stopped = broadcasts
    cancelled: dict[str, Any] = {}
    for number in range(kills):
        time.sleep(chance.uniform(0.05, 0.6) * max(1.0, stretch))
        _, child = group.pop_random(chance)
        child.kill()
        child.wait()
        group.start_replacement()
        if number % 4 == 1:
            control.query("pause", str(completed))
        elif number % 4 == 2:
            control.query("resume", str(completed))
        if number == kills // 2:
            sent = _wait_until_some_are_sent(control, stopped)
            cancelled = {**control.query("cancel", str(stopped)), "sent": sent}
    control.query("resume", str(completed))
    return cancelled


def _wait_until_some_are_sent(control: Observer, broadcast_id: int) -> int:
    """Waits up to 60 s until a twentieth of a broadcast is sent; returns how many are sent."""
    deadline = time.monotonic() + _BEGUN_S
    while time.monotonic() < deadline:
        progress = control.query("progress", str(broadcast_id))
        if progress["sent"] >= progress["total"] // 20 > 0:
            break
        time.sleep(0.1)
    return int(progress["sent"])


def _judge(tally: dict[str, Any], arrived: Counter[str]) -> dict[str, Any]:
    states: dict[str, list[str]] = tally["states"]
    uncertain = set(tally["uncertain"])
    sent = set(states.get("sent", ()))
    twice = [name for name, times in arrived.items() if times > 1]
    counts = {state: len(names) for state, names in states.items()}
    return {
        "states": counts,
        "arrived": arrived.total(),
        "lost": len([name for name in sent if name not in arrived]),
        "unrecorded": len([name for name in arrived if name not in sent and name not in uncertain]),
        "twice": len([name for name in twice if name not in uncertain]),
        "repeated": len(twice),
        "ever_uncertain": len(uncertain),
    }


def _wait_until_drained(control: Observer) -> None:
    deadline = time.monotonic() + _DRAIN_S
    while control.query("open"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"broadcasts are not over within {_DRAIN_S:.0f} s")
        time.sleep(0.2)
