"""`bench load`: the stages of the platform's load test, with locust (`make load` installs it).

50, 200, then 500 users, each with a bulk of two and a read of preferences a second. The thresholds
are those of the test: p99 under 500 ms, under 1 % errors.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from typing import Any

from carillon.bench.harness import cpu
from carillon.bench.harness.environment import (
    BenchEnvironment,
    bench_environment,
    free_port,
    machine,
)
from carillon.bench.web.serving import PEOPLE, wait_until_ready

_STAGES = [(120, 50), (300, 200), (120, 500), (60, 500), (120, 0)]
"""Seconds, and the number of users at the end of the stage."""
_PEAK = 3
"""The stage in which the most users stay."""
_LOCUST = ("--headless", "--json", "--skip-log", "--only-summary")
_P99_MS = 500
_ERRORS = 0.01
_TIMEOUT_S = 1_200


def run(
    *, database: str = "postgres", setup: str = "serve", minutes: float = 12, sends: bool = False
) -> dict[str, Any]:
    """Runs the stages against one `carillon serve`, or against two web processes.

    Args:
        setup: serve, or split: two web processes, Celery workers, Redis.
        minutes: of all stages; the test itself takes 12.
        sends: each user also makes a single send a second.
    """
    if importlib.util.find_spec("locust") is None:
        raise RuntimeError("locust is not installed: run `make load`")
    scale = minutes * 60 / sum(seconds for seconds, _ in _STAGES)
    stages = [(seconds * scale, users) for seconds, users in _STAGES]
    with bench_environment(database, redis=setup == "split") as env:
        given = {
            "token": env.run("api_key")["key"],
            "first": env.run("people", PEOPLE)["first_id"],
            "people": PEOPLE,
            "sends": sends,
            "stages": stages,
        }
        roots, hosts = _start(env, setup)
        try:
            found = _locust({**given, "hosts": hosts}, roots)
        finally:
            _end(env, roots)
    return {"database": database, "setup": setup, "minutes": minutes, **machine(), **found}


def _start(env: BenchEnvironment, setup: str) -> tuple[dict[str, int], list[str]]:
    """Starts the service; returns its processes by role, and its addresses."""
    roots = {"database": env.database_pid} if env.database_pid else {}
    commands: dict[str, list[str]] = {}
    ports = [free_port() for _ in range(1 if setup == "serve" else 2)]
    if setup == "serve":
        commands["serve"] = ["-m", "carillon", "serve", "--port", str(ports[0])]
    else:
        for number, port in enumerate(ports, 1):
            commands[f"web{number}"] = ["-m", "carillon", "web", "--port", str(port)]
        lanes = "critical,high,default,bulk"
        commands["celery"] = ["-m", "celery", "-A", "carillon", "worker", "-c", "1", "-Q", lanes]
    for role, command in commands.items():
        child = subprocess.Popen(
            [sys.executable, *command], env=env.environ, stdout=subprocess.DEVNULL, text=True
        )
        env.children.append(child)
        roots[role] = child.pid
    hosts = [f"http://127.0.0.1:{port}" for port in ports]
    for host in hosts:
        wait_until_ready(host, "/health/live")  # without beat, two web processes are not ready
    return roots, hosts


def _end(env: BenchEnvironment, roots: dict[str, int]) -> None:
    """Ends the service in order, so that it drains."""
    ours = [child for child in env.children if child.pid in roots.values()]
    for child in ours:
        child.terminate()
    for child in ours:
        child.wait(60)


def _locust(given: dict[str, Any], roots: dict[str, int]) -> dict[str, Any]:
    module = importlib.util.find_spec("carillon.bench.harness.locust_users")
    assert module is not None
    child = subprocess.Popen(
        [sys.executable, "-m", "locust", "-f", str(module.origin), *_LOCUST],
        env={**os.environ, "CARILLON_LOAD": json.dumps(given)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    roots = {**roots, "locust": child.pid}
    time.sleep(sum(seconds for seconds, _ in given["stages"][:_PEAK]))
    began, before = time.monotonic(), cpu.cpu_seconds(roots)
    time.sleep(given["stages"][_PEAK][0])
    lasted, after = time.monotonic() - began, cpu.cpu_seconds(roots)
    out, _ = child.communicate(timeout=_TIMEOUT_S)
    entries = json.loads(out[out.index("[") :])
    figures = {each["name"]: _figures(each) for each in entries}
    met = all(
        each["p99_ms"] < _P99_MS and each["failed"] <= _ERRORS * each["requests"]
        for each in figures.values()
    )
    shares = {role: round((after[role] - before[role]) / lasted, 2) for role in after}
    return {"met": met, "routes": figures, "cores_at_peak": shares}


def _figures(entry: dict[str, Any]) -> dict[str, Any]:
    """Returns the figures of one route, from locust's counts by rounded milliseconds."""
    counts = sorted((float(ms), count) for ms, count in entry["response_times"].items())
    return {
        "requests": entry["num_requests"],
        "failed": entry["num_failures"],
        "p50_ms": _percentile(counts, 0.50),
        "p99_ms": _percentile(counts, 0.99),
        "max_ms": round(entry["max_response_time"], 1),
    }


def _percentile(counts: list[tuple[float, int]], share: float) -> float:
    wanted = share * sum(count for _, count in counts)
    passed = 0
    for ms, count in counts:
        passed += count
        if passed >= wanted:
            return ms
    return 0.0
