"""Many seeds on every core, from one migrated database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from carillon.bench.harness.environment import BenchEnvironment, bench_environment
from carillon.sim import SETTINGS


def run(
    first: int,
    count: int,
    *,
    mutant: str = "",
    until_fault: bool = False,
    database: str = "sqlite",
) -> list[dict[str, Any]]:
    """Runs `count` seeds from `first` on; the answers, by seed.

    Args:
        database: `sqlite`, where seeds replay exactly, or `postgres`.
        mutant: `module:function`, called before each run: a fault that is to be found.
        until_fault: end with the first seed that goes wrong.

    Raises:
        RuntimeError: a process of the run failed.
    """
    with bench_environment(database, redis=False, **SETTINGS) as env:
        file = Path(env.environ["CARILLON_DATA_DIR"]) / "carillon.sqlite3"
        template = str(file) if database == "sqlite" else ""
        environ = {**env.environ, "PYTHONHASHSEED": "0"}
        words = [sys.executable, "-m", "carillon.sim.runner"]
        subprocess.run([*words, "prepare"], env=environ, check=True, timeout=60)
        found = []
        started = _start([*words, "run", template, mutant], first, count, env, environ)
        for answer in _results(started):
            found.append(answer)
            if until_fault and answer["faults"]:
                break
        return sorted(found, key=lambda answer: int(answer["seed"]))


def _start(
    words: list[str], first: int, count: int, env: BenchEnvironment, environ: dict[str, str]
) -> list[subprocess.Popen[str]]:
    cores = min(count, os.cpu_count() or 1)
    started = []
    for core in range(cores):
        more = [str(first + core), str(count - core), str(cores)]
        child = subprocess.Popen([*words, *more], env=environ, stdout=subprocess.PIPE, text=True)
        started.append(child)
    env.children += started
    return started


def _results(waiting: list[subprocess.Popen[str]]) -> Iterator[dict[str, Any]]:
    waiting = list(waiting)
    while waiting:
        for child in tuple(waiting):
            assert child.stdout is not None
            line = child.stdout.readline()
            if line:
                yield json.loads(line)
                continue
            waiting.remove(child)
            if child.wait():
                raise RuntimeError(f"a process of the simulation ended with {child.returncode}")
