"""Chaos of live inboxes: clients follow while connections, servers, Redis and PostgreSQL fail.

Two web processes serve the clients. In turn, connections are cut for two seconds, a server is
killed, Redis is lost with all that it held, PostgreSQL is restarted, and both servers are replaced
one after the other. At the end each client must have every arrival of its person once, in order.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

from carillon.bench.harness.environment import (
    BenchEnvironment,
    bench_environment,
    free_port,
    machine,
)
from carillon.bench.realtime import Clients, start_web
from carillon.servers import PostgresServer, RedisServer

RATE_OF_PERSON = 4.0
"""Arrivals a second of one person: an absence of some seconds stays within what is resumed."""
MOST_DELIVERIES = 6_000.0
"""Deliveries a second to all clients: servers, clients and database share two cores."""
_DROP_S = 2.0
_SETTLE_S = 90.0
_END_S = 40.0


class Servers:
    """The two web processes."""

    def __init__(self, env: BenchEnvironment) -> None:
        self._env = env
        self.ports = (free_port(), free_port())
        self._running = [start_web(env, port, quiet=True) for port in self.ports]

    def kill(self, number: int) -> None:
        """Kills one, and starts it again."""
        self._running[number].kill()
        self._running[number].wait()
        self._running[number] = start_web(self._env, self.ports[number], quiet=True)

    def replace(self) -> None:
        """Replaces both, one after the other, as a deployment does."""
        for number, port in enumerate(self.ports):
            self._running[number].send_signal(signal.SIGTERM)
            self._running[number].wait(_END_S)
            self._running[number] = start_web(self._env, port, quiet=True)

    def stop(self) -> None:
        """Ends both."""
        for each in self._running:
            each.kill()
            each.wait()


def run(
    *, database: str = "postgres", clients: int = 1_000, events: int = 1_000, seed: int = 0
) -> dict[str, Any]:
    """Lets clients follow, two of each person, until each person has so many arrivals.

    Returns:
        deliveries: what the clients should have got. missed, extra, out_of_order, repeated: must be
            0. resyncs: how often a client had to begin anew. failures: how often the sender had to
            repeat a transaction.
    """
    seed = seed or random.SystemRandom().randrange(1, 1_000_000)
    people = max(1, clients // 2)
    with _environment(database) as (env, disturbances):
        env.run("people", people)
        tokens = env.folder / "tokens"
        env.run("person_tokens", people, tokens)
        servers = Servers(env)
        followers = Clients(env.environ, "followers", str(seed))
        with contextlib.closing(followers), contextlib.ExitStack() as stack:
            stack.callback(servers.stop)
            tokens.write_text("\n".join(_twice(tokens.read_text().split())))
            first, second = servers.ports
            followers.ask("open", port=first, more=second, tokens=str(tokens))
            rate = min(RATE_OF_PERSON, MOST_DELIVERIES / (2 * people))
            sender = env.start("steady", people, events, people * rate)
            steps = _steps(followers, servers, disturbances)
            _disturb(steps, sender, events / rate)
            sent = env.result(sender)
            got = followers.ask("settle", count=2 * people * events, seconds=_SETTLE_S)
            report, truth = env.folder / "report", env.folder / "truth"
            followers.ask("report", file=str(report))
            env.run("arrivals", people, truth)
            figures = judge(json.loads(report.read_text()), json.loads(truth.read_text()))
        return {
            "database": database,
            "seed": seed,
            "clients": 2 * people,
            "events": events,
            "disturbances": [name for name, _ in steps],
            "failures": sent["failures"],
            "got": got["got"],
            **figures,
            **machine(),
        }


def judge(reports: list[dict[str, Any]], truth: list[list[str]]) -> dict[str, Any]:
    """Compares what clients got with the arrivals of their people: two clients each."""
    figures = dict.fromkeys(("missed", "extra", "out_of_order", "repeated", "resyncs"), 0)
    for number, each in enumerate(reports):
        wanted, got = truth[number // 2], each["got"]
        places = {key: place for place, key in enumerate(wanted)}
        found = [places[key] for key in got if key in places]
        figures["missed"] += len(set(wanted) - set(got))
        figures["extra"] += len(got) - len(set(got)) + len(set(got) - set(wanted))
        figures["out_of_order"] += sum(a > b for a, b in itertools.pairwise(found))
        figures["repeated"] += each["repeated"]
        figures["resyncs"] += each["resyncs"]
    return {"deliveries": 2 * sum(map(len, truth)), **figures}


def is_wrong(figures: dict[str, Any]) -> bool:
    """Whether a client missed, repeated or mixed up anything, or nothing happened at all."""
    bad = any(figures[name] for name in ("missed", "extra", "out_of_order", "repeated"))
    return bad or not figures["deliveries"] or figures["got"] != figures["deliveries"]


Step = tuple[str, Callable[[], object]]


@contextlib.contextmanager
def _environment(database: str) -> Iterator[tuple[BenchEnvironment, list[Step]]]:
    """Yields an installation, and what can happen to its servers."""
    if database == "sqlite":
        with bench_environment("sqlite", log_level="ERROR") as env:
            yield env, []
        return
    with (
        PostgresServer() as postgres,
        RedisServer() as redis,
        bench_environment(
            "given",
            migrated=False,
            database_url=postgres.url,
            redis_url=redis.url,
            log_level="ERROR",
        ) as env,
    ):
        env.run("migrate")

        def lose_redis() -> None:
            redis.kill()
            time.sleep(1.0)
            redis.start()

        def restart_postgres() -> None:
            postgres.stop()
            time.sleep(0.5)
            postgres.start()

        yield env, [("redis lost", lose_redis), ("postgres restarted", restart_postgres)]


def _steps(followers: Clients, servers: Servers, more: list[Step]) -> list[Step]:
    return [
        ("some cut", lambda: followers.ask("drop", share=0.3, seconds=_DROP_S)),
        ("server killed", lambda: servers.kill(0)),
        *more,
        ("servers replaced", servers.replace),
        ("all cut", lambda: followers.ask("drop", share=1.0, seconds=_DROP_S)),
    ]


def _disturb(steps: list[Step], sender: subprocess.Popen[str], seconds: float) -> None:
    """Takes the steps, spread over the time for which the sender will run."""
    began = time.monotonic()
    for number, (_, happen) in enumerate(steps):
        until = began + seconds * (number + 0.5) / len(steps)
        while time.monotonic() < until and sender.poll() is None:
            time.sleep(0.05)
        happen()


def _twice(words: list[str]) -> list[str]:
    return [word for word in words for _ in range(2)]
