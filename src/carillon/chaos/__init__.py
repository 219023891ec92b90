"""Chaos: workers die at random moments while an SMTP server counts the mails that arrive.

Some workers are killed; others are stopped until their lease has expired, and then continue as
zombies. The server sometimes breaks the connection after it received a mail. At the end, every
accepted message is accounted for.
"""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from typing import Any

from carillon.bench.harness.environment import (
    BenchEnvironment,
    Observer,
    bench_environment,
    machine,
)
from notifications.testing.servers import Act, ReceivedMail, SMTPSink

_LEASE_S = 2.0
_PEOPLE = 2_000
_DRAIN_S = 300.0
_ZOMBIE_SHARE = 0.2
_BREAK_SHARE = 0.0005
_REFERENCE = re.compile(rb"^Message-ID: <([0-9a-f]{32}\.email)@", re.MULTILINE | re.IGNORECASE)


class ArrivalCounter:
    """Counts arrivals by the reference that each mail carries."""

    def __init__(self, seed: int) -> None:
        self.by_reference: Counter[str] = Counter()
        #: The longest time (s) in which nothing arrived, between the first mail and the last.
        self.longest_stall_s = 0.0
        self._last_at: float | None = None
        self._random = random.Random(seed)

    def record(self, mail: ReceivedMail) -> None:
        now = time.monotonic()
        if self._last_at is not None:
            self.longest_stall_s = max(self.longest_stall_s, now - self._last_at)
        self._last_at = now
        found = _REFERENCE.search(mail.content)
        self.by_reference[found.group(1).decode() if found else "unmarked"] += 1

    def script(self, verb: str, _line: str) -> bytes | Act | None:
        broken = verb == "END" and self._random.random() < _BREAK_SHARE
        return Act.RESET if broken else None


class ProcessGroup:
    """A group of worker processes, which are replaced when they die."""

    def __init__(self, env: BenchEnvironment, size: int, role: str = "worker") -> None:
        self._env = env
        self._role = role
        self._threads: list[threading.Thread] = []
        self._members: dict[str, subprocess.Popen[str]] = {}
        self._lock = threading.Lock()
        for _ in range(size):
            self.start_process()

    def start_process(self) -> None:
        child = self._env.start(self._role)
        assert child.stdout is not None
        name = json.loads(child.stdout.readline())["listening"]
        with self._lock:
            self._members[name] = child

    def pop_random(self, chance: random.Random) -> tuple[str, subprocess.Popen[str]]:
        """Removes and returns a random worker; waits for a new one when none is left."""
        while not self._members:
            time.sleep(0.02)
        with self._lock:
            name = chance.choice(sorted(self._members))
            return name, self._members.pop(name)

    def start_replacement(self) -> None:
        """Starts a replacement in a thread, so that kills continue."""
        thread = threading.Thread(target=self.start_process)
        thread.start()
        self._threads.append(thread)

    def add(self, name: str, child: subprocess.Popen[str]) -> None:
        with self._lock:
            self._members[name] = child

    def stop(self) -> None:
        for thread in self._threads:
            thread.join()
        self._env.stop(list(self._members.values()))


def run(
    *,
    database: str = "postgres",
    kills: int = 20,
    messages: int = 50_000,
    workers: int = 2,
    zombies: float = _ZOMBIE_SHARE,
    seed: int = 0,
) -> dict[str, Any]:
    """Accepts `messages` mails and kills workers `kills` times while they deliver.

    zombies: the share of workers that are stopped until their lease has expired, instead of killed.

    Returns:
        accepted
        sent: messages whose final status is `sent`.
        lost: accepted messages that never arrived and have no dead letter.
        duplicates: arrived twice, though never uncertain.
        uncertain: were ever uncertain.
        repeated: arrived twice.
        max_uncertain_per_kill: the most messages journalled when a worker died.
        longest_stall_s: the longest time without any arrival.
    """
    seed = seed or random.SystemRandom().randrange(1, 1_000_000)
    chance = random.Random(seed)
    arrivals = ArrivalCounter(seed)
    sink = SMTPSink(store=False, on_mail=arrivals.record, script=arrivals.script)
    with sink.run_in_thread(), mail_environment(database, sink) as env:
        env.run("people", _PEOPLE)
        observer = Observer(env)
        group = ProcessGroup(env, workers)
        calls = min(messages, _PEOPLE)
        producer = env.start("accept", messages, "email", "", calls)
        journalled = _disturb_workers(group, observer, chance, kills, zombies)
        accepted = env.result(producer)["accepted"]
        _wait_until_drained(observer)
        group.stop()
        tally = observer.query("tally")
        observer.query("end")
    uncertain = set(tally["uncertain"])
    arrived = set(arrivals.by_reference)
    lost = [name for name in tally["all"] if name not in arrived and name not in tally["held"]]
    twice = [name for name, times in arrivals.by_reference.items() if times > 1]
    return {
        "database": database,
        "seed": seed,
        "kills": kills,
        "accepted": accepted,
        "sent": tally["statuses"].get("sent", 0),
        "statuses": tally["statuses"],
        "arrived": sum(arrivals.by_reference.values()),
        "lost": len(lost),
        "duplicates": len([name for name in twice if name not in uncertain]),
        "uncertain": len(uncertain),
        "repeated": len(twice),
        "max_uncertain_per_kill": max(journalled, default=0),
        "longest_stall_s": round(arrivals.longest_stall_s, 1),
        **machine(),
    }


def mail_environment(database: str, sink: SMTPSink, *, rate_limits: str = "smtp=off") -> Any:
    """Creates an environment that mails to the sink, with leases short enough for many deaths."""
    return bench_environment(
        database,
        email_provider="smtp",
        rate_limits=rate_limits,
        smtp_host=sink.host,
        smtp_port=str(sink.port),
        smtp_tls="none",
        lease_seconds=str(_LEASE_S),
        provider_timeout_seconds="1",
        log_level="ERROR",
    )


def _disturb_workers(
    group: ProcessGroup, observer: Observer, chance: random.Random, kills: int, zombies: float
) -> list[int]:
    """Kills or stops one worker after the other; returns how many keys each had journalled."""
    journalled = []
    for _ in range(kills):
        time.sleep(chance.uniform(0.05, 0.6))
        name, child = group.pop_random(chance)
        if chance.random() < zombies:
            child.send_signal(signal.SIGSTOP)
            group.start_replacement()
            journalled.append(observer.query("journalled", name))
            time.sleep(_LEASE_S * 1.5)
            child.send_signal(signal.SIGCONT)
            group.add(name, child)
        else:
            child.kill()
            child.wait()
            group.start_replacement()
            journalled.append(observer.query("journalled", name))
    return journalled


def _wait_until_drained(observer: Observer) -> None:
    deadline = time.monotonic() + _DRAIN_S
    while observer.query("left"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not drained in {_DRAIN_S:.0f} s: {observer.query('left')} batches")
        time.sleep(0.1)
