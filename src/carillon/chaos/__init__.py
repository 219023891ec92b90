"""Chaos: workers die at random moments while a counting SMTP server counts what really arrived.

Some are killed at once, some are stopped past their lease and woken as zombies; the server now and
then breaks off after it was given a mail. At the end every accepted message is accounted for.
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

from carillon.bench.harness.ground import Ground, Observer, ground, machine
from notifications.testing.servers import Act, ReceivedMail, SMTPSink

_LEASE_S = 2.0
_PEOPLE = 2_000
_DRAIN_S = 300.0
_ZOMBIE_SHARE = 0.2
_BREAK_SHARE = 0.0005
_REFERENCE = re.compile(rb"^Message-ID: <([0-9a-f]{32}\.email)@", re.MULTILINE | re.IGNORECASE)


class Counting:
    """What arrived, by the reference that travels inside each mail."""

    def __init__(self, seed: int) -> None:
        self.arrived: Counter[str] = Counter()
        #: The longest time (s) in which nothing arrived, between the first mail and the last.
        self.longest_stall_s = 0.0
        self._last_at: float | None = None
        self._random = random.Random(seed)

    def take(self, mail: ReceivedMail) -> None:
        now = time.monotonic()
        if self._last_at is not None:
            self.longest_stall_s = max(self.longest_stall_s, now - self._last_at)
        self._last_at = now
        found = _REFERENCE.search(mail.content)
        self.arrived[found.group(1).decode() if found else "unmarked"] += 1

    def script(self, verb: str, _line: str) -> bytes | Act | None:
        broken = verb == "END" and self._random.random() < _BREAK_SHARE
        return Act.RESET if broken else None


class Crew:
    """Workers that are replaced as they die."""

    def __init__(self, place: Ground, size: int, role: str = "worker") -> None:
        self._place = place
        self._role = role
        self._threads: list[threading.Thread] = []
        self._members: dict[str, subprocess.Popen[str]] = {}
        self._lock = threading.Lock()
        for _ in range(size):
            self.hire()

    def hire(self) -> None:
        child = self._place.start(self._role)
        assert child.stdout is not None
        name = json.loads(child.stdout.readline())["listening"]
        with self._lock:
            self._members[name] = child

    def pick(self, chance: random.Random) -> tuple[str, subprocess.Popen[str]]:
        """Somebody to die; waits for a new one where nobody is left."""
        while not self._members:
            time.sleep(0.02)
        with self._lock:
            name = chance.choice(sorted(self._members))
            return name, self._members.pop(name)

    def replace(self) -> None:
        """Hires in the background: dying goes on meanwhile."""
        thread = threading.Thread(target=self.hire)
        thread.start()
        self._threads.append(thread)

    def take_back(self, name: str, child: subprocess.Popen[str]) -> None:
        with self._lock:
            self._members[name] = child

    def dismiss(self) -> None:
        for thread in self._threads:
            thread.join()
        self._place.stop(list(self._members.values()))


def run(
    *,
    database: str = "postgres",
    kills: int = 20,
    messages: int = 50_000,
    workers: int = 2,
    zombies: float = _ZOMBIE_SHARE,
    seed: int = 0,
) -> dict[str, Any]:
    """Accepts `messages` mails and kills workers `kills` times while they are delivered.

    zombies is the share that is stopped past its lease and woken, instead of killed.

    Returns:
        accepted, sent (messages with a final `sent`), lost (accepted, never arrived and in no dead
        letter), duplicates (arrived twice though never uncertain), uncertain, repeated (arrived
        twice after a doubt), max_uncertain_per_kill (journalled when a worker died),
        longest_stall_s (the longest time without any arrival).
    """
    seed = seed or random.SystemRandom().randrange(1, 1_000_000)
    chance = random.Random(seed)
    counting = Counting(seed)
    sink = SMTPSink(store=False, on_mail=counting.take, script=counting.script)
    with sink.run_in_thread(), mail_place(database, sink) as place:
        place.run("people", _PEOPLE)
        observer = Observer(place)
        crew = Crew(place, workers)
        calls = min(messages, _PEOPLE)
        producer = place.start("accept", messages, "email", "", calls)
        journalled = _torment(crew, observer, chance, kills, zombies)
        accepted = place.result(producer)["accepted"]
        _wait(observer)
        crew.dismiss()
        tally = observer.ask("tally")
        observer.ask("end")
    doubtful = set(tally["uncertain"])
    arrived = set(counting.arrived)
    lost = [name for name in tally["all"] if name not in arrived and name not in tally["held"]]
    twice = [name for name, times in counting.arrived.items() if times > 1]
    return {
        "database": database,
        "seed": seed,
        "kills": kills,
        "accepted": accepted,
        "sent": tally["statuses"].get("sent", 0),
        "statuses": tally["statuses"],
        "arrived": sum(counting.arrived.values()),
        "lost": len(lost),
        "duplicates": len([name for name in twice if name not in doubtful]),
        "uncertain": len(doubtful),
        "repeated": len(twice),
        "max_uncertain_per_kill": max(journalled, default=0),
        "longest_stall_s": round(counting.longest_stall_s, 1),
        **machine(),
    }


def mail_place(database: str, sink: SMTPSink, *, rate_limits: str = "smtp=off") -> Any:
    """An installation that mails to the sink, with leases short enough to die often."""
    return ground(
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


def _torment(
    crew: Crew, observer: Observer, chance: random.Random, kills: int, zombies: float
) -> list[int]:
    """Kills or stops a worker at a time; returns how many keys each had journalled."""
    journalled = []
    for _ in range(kills):
        time.sleep(chance.uniform(0.05, 0.6))
        name, child = crew.pick(chance)
        if chance.random() < zombies:
            child.send_signal(signal.SIGSTOP)
            crew.replace()
            journalled.append(observer.ask("journalled", name))
            time.sleep(_LEASE_S * 1.5)
            child.send_signal(signal.SIGCONT)
            crew.take_back(name, child)
        else:
            child.kill()
            child.wait()
            crew.replace()
            journalled.append(observer.ask("journalled", name))
    return journalled


def _wait(observer: Observer) -> None:
    deadline = time.monotonic() + _DRAIN_S
    while observer.ask("left"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not drained in {_DRAIN_S:.0f} s: {observer.ask('left')} batches")
        time.sleep(0.1)
