"""Runs many seeds on all cores, from one migrated database."""

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
    warm: bool = True,
) -> list[dict[str, Any]]:
    """Runs `count` seeds from `first`; returns the results in the order of seeds.

    Args:
        database: `sqlite`, where seeds repeat exactly, or `postgres`.
        mutant: `module:function`, called before each run: it plants a fault that the run must find.
        until_fault: stop after the first seed with a fault.
        warm: seeds run in processes that have run others, which is faster. A seed takes the same
            steps in a new one.

    Raises:
        RuntimeError: a process of the run failed.
    """
    with bench_environment(database, redis=False, migrated=True, **SETTINGS) as env:
        file = Path(env.environ["CARILLON_DATA_DIR"]) / "carillon.sqlite3"
        template = str(file) if database == "sqlite" else ""
        environ = {**env.environ, "PYTHONHASHSEED": "0"}
        words = [sys.executable, "-m", "carillon.sim.runner"]
        subprocess.run([*words, "prepare"], env=environ, check=True, timeout=60)
        found = []
        words += ["run", template, mutant, *(("2", "5") if warm else ("0", "1"))]
        started = _start(words, first, count, env, environ)
        for result in _results(started):
            found.append(result)
            if until_fault and result["faults"]:
                break
        return sorted(found, key=lambda result: int(result["seed"]))


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
