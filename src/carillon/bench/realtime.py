"""`bench realtime`: sockets of different people, who get personal notifications.

Arrivals are made as the record of a slice makes them, durably, so that what is measured begins with
the commit: the wake-up, the hub's read, the frame, the client. Clients, server, sender and database
share the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from carillon.bench.harness.cpu import cpu_seconds
from carillon.bench.harness.environment import (
    BenchEnvironment,
    bench_environment,
    free_port,
    machine,
)
from carillon.bench.web.serving import wait_until_ready

RATE = 500
SECONDS = 12
BURST = 20_000
ROOM = 1_000
ROOM_FRAMES = 200
ROOM_RATE = 20
_SETTLE_S = 3.0
_PATIENCE_S = 120.0
_API_EVERY_S = 0.02
_UNREAD = "/api/v1/inbox/unread"


class Clients:
    """A process with many sockets."""

    def __init__(self, environ: dict[str, str], kind: str = "clients", *words: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"carillon.bench.harness.realtime.{kind}", *words],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, name: str, **given: Any) -> dict[str, Any]:
        """Sends a command, and returns the answer."""
        self.tell(name, **given)
        return self.answer()

    def tell(self, name: str, **given: Any) -> None:
        """Sends a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([name, given]) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Returns the answer to the last command."""
        assert self._process.stdout is not None
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()


def run(
    *, database: str = "postgres", connections: int = 1_000, redis: bool = True
) -> dict[str, Any]:
    """Measures latencies in ms, memory in KB and notifications per second of processor time."""
    redis = redis and database == "postgres"
    with bench_environment(database, redis=redis) as env:
        env.run("people", connections)
        tokens = env.folder / "tokens"
        env.run("person_tokens", connections, tokens)
        port = free_port()
        with _web(env, port) as web, contextlib.closing(Clients(env.environ)) as clients:
            figures = _opened(env, clients, web.pid, port, connections, tokens)
            figures |= _latencies(env, clients, connections)
            figures |= _per_cpu(env, clients, web.pid, connections)
            figures |= _per_cpu_of_rooms(env, clients, web.pid, min(connections, ROOM))
            token = tokens.read_text().split()[0]
            figures |= _reconnected(env, clients, web, port, token)
        return {"database": database, "redis": redis, **machine(), **env.run("settings"), **figures}


@contextlib.contextmanager
def _web(env: BenchEnvironment, port: int) -> Iterator[subprocess.Popen[bytes]]:
    web = start_web(env, port)
    try:
        yield web
    finally:
        web.kill()
        web.wait()


def start_web(env: BenchEnvironment, port: int, *, quiet: bool = False) -> subprocess.Popen[bytes]:
    """Starts a web process, and waits until it serves. quiet: its log goes nowhere."""
    web = subprocess.Popen(
        [sys.executable, "-m", "carillon", "web", "--port", str(port)],
        env={**env.environ, "CARILLON_MAX_CONNECTIONS": "20000"},
        stderr=subprocess.DEVNULL if quiet else None,
    )
    wait_until_ready(f"http://127.0.0.1:{port}")
    return web


def _opened(
    env: BenchEnvironment, clients: Clients, pid: int, port: int, connections: int, tokens: Path
) -> dict[str, Any]:
    _warm_up(port, tokens)
    before = _memory_kb(pid)
    opened = clients.ask("open", port=port, tokens=str(tokens))
    _send(env, connections, connections, 0, 100)
    clients.ask("wait", count=int(connections * 0.6), seconds=_PATIENCE_S)
    time.sleep(_SETTLE_S)
    return {
        "connections": connections,
        "open_s": round(opened["open_s"], 2),
        "kb_per_socket": round((_memory_kb(pid) - before) / connections, 1),
    }


def _warm_up(port: int, tokens: Path) -> None:
    """Has the server import and cache what the first request of each kind needs."""
    for token in tokens.read_text().split()[:20]:
        _get_unread(port, token)


def _latencies(env: BenchEnvironment, clients: Clients, connections: int) -> dict[str, Any]:
    """The time from the commit to the client, at a steady rate."""
    _measure_steady(env, clients, connections, RATE)  # statements are prepared, caches are warm
    times = _measure_steady(env, clients, connections, RATE * SECONDS)
    cuts = statistics.quantiles(times, n=1000)
    return {
        "rate": RATE,
        "received": len(times),
        "p50_ms": round(cuts[499] * 1000, 2),
        "p99_ms": round(cuts[989] * 1000, 2),
        "max_ms": round(max(times) * 1000, 1),
    }


def _measure_steady(
    env: BenchEnvironment, clients: Clients, connections: int, count: int
) -> list[float]:
    clients.ask("forget")
    committed = _send(env, count, connections, RATE, 5)
    clients.ask("wait", count=count, seconds=_PATIENCE_S)
    report = env.folder / "received"
    clients.ask("report", file=str(report))
    received = json.loads(report.read_text())
    return [max(0.0, received[key] - at) for key, at in committed.items() if key in received]


def _per_cpu(env: BenchEnvironment, clients: Clients, pid: int, connections: int) -> dict[str, Any]:
    """The work of the server for one notification, read, opened and sent."""
    clients.ask("forget")
    before = cpu_seconds({"web": pid})["web"]
    _send(env, BURST, connections, RATE * 6, 100)
    got = clients.ask("wait", count=BURST, seconds=_PATIENCE_S)["received"]
    used = cpu_seconds({"web": pid})["web"] - before
    return {
        "personal_per_cpu_s": round(got / used) if used else 0,
        "burst_received": got,
    }


def _per_cpu_of_rooms(
    env: BenchEnvironment, clients: Clients, pid: int, members: int
) -> dict[str, Any]:
    """The work of the server for one delivery of a room notification."""
    room = env.run("room", members)["room"]
    clients.ask("join", room=room, count=members)
    clients.ask("forget")
    time.sleep(_SETTLE_S)
    before = cpu_seconds({"web": pid})["web"]
    env.run("room_frames", room, ROOM_FRAMES, ROOM_RATE)
    found = clients.ask("wait", count=members * ROOM_FRAMES, seconds=_PATIENCE_S)
    used = cpu_seconds({"web": pid})["web"] - before
    return {
        "room_members": members,
        "room_deliveries": found["deliveries"],
        "room_per_cpu_s": round(found["deliveries"] / used) if used else 0,
    }


def _reconnected(
    env: BenchEnvironment,
    clients: Clients,
    web: subprocess.Popen[bytes],
    port: int,
    token: str,
) -> dict[str, Any]:
    """All clients come back at once after the server was killed; the API is asked meanwhile."""
    web.kill()
    web.wait()
    again = start_web(env, port)
    try:
        _warm_up_one(port, token)
        clients.tell("reconnect", port=port)
        answering = asyncio.run(_ask_meanwhile(clients, port, token))
    finally:
        again.kill()
        again.wait()
    return answering


def _warm_up_one(port: int, token: str) -> None:
    for _ in range(10):
        _get_unread(port, token)


async def _ask_meanwhile(clients: Clients, port: int, token: str) -> dict[str, Any]:
    waiting = asyncio.ensure_future(asyncio.to_thread(clients.answer))
    times: list[float] = []
    while not waiting.done():
        began = time.monotonic()
        await asyncio.to_thread(_get_unread, port, token)
        times.append(time.monotonic() - began)
        await asyncio.sleep(_API_EVERY_S)
    found = await waiting
    p99 = statistics.quantiles(times, n=100)[98] if len(times) > 1 else max(times, default=0.0)
    return {
        "reconnect_s": round(found["open_s"], 2),
        "reconnect_failures": found["failures"],
        "reconnect_api_p99_ms": round(p99 * 1000, 1),
    }


def _get_unread(port: int, token: str) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{_UNREAD}", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 -- ours
        response.read()


def _send(
    env: BenchEnvironment, count: int, people: int, rate: int, at_once: int
) -> dict[str, float]:
    """Makes arrivals; returns when each was committed, by its public id."""
    file = env.folder / "committed"
    env.run("personal", count, people, rate, at_once, file)
    found: dict[str, float] = json.loads(file.read_text())
    return found


def _memory_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])
